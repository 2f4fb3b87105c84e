// Making elements. Everything from outside is shown as text, never as markup.

/** The element with this id. */
export const at = (id) => document.getElementById(id);

/** A new element: properties, `aria-…`, `data-…` and `role` attributes, and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(aria-|data-|role$|for$|list$)/.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A button that calls `press`. */
export function button(text, press, properties = {}) {
  const made = element("button", { type: "button", textContent: text, ...properties });
  made.addEventListener("click", press);
  return made;
}

export function percent(score) {
  if (score > 0.995 && score < 1) return "99%";
  return `${Math.round(100 * score)}%`;
}

export function count(number, noun = "photo") {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

export function bytes(size) {
  if (size < 1000) return `${size} bytes`;
  return size < 1e6 ? `${Math.round(size / 1e3)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

/** The address of a photo's thumbnail for a number of pixels of the screen. */
export function thumbnail(photo, pixels) {
  return `images/${photo.id}/${pixels > 300 ? 512 : 256}?v=${photo.key}`;
}

/** Whether keys belong to a field that is being typed into. */
export function isTyping(event) {
  return event.target.matches?.("input:not([type=range]):not([type=checkbox]), select, textarea") ?? false;
}
