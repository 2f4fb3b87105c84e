// The filters beside the photos: values with counts. The first click includes, the second excludes.

import { at, button, element } from "./elements.js";
import { FACETS } from "./question.js";

const TITLES = { label: "Labels", date: "Years", type: "Types", is: "Review" };
const SHOWN = 10;
const FOUND = 50; // with "more" and while a label is looked for
const STATES = { 1: "included", "-1": "excluded" };
const NEXT = { 0: "Include", 1: "Exclude", "-1": "Switch off" }; // what a click does

export class Facets {
  /** `onCycle(key, value)` is called when a value is clicked. */
  constructor(onCycle) {
    this.onCycle = onCycle;
    this.counts = {};
    this.parts = {};
    for (const key of FACETS) {
      const list = element("ul", { role: "list" });
      const title = element("h2", { textContent: TITLES[key], id: `facet-${key}` });
      const more = button("More", () => this.#expand(key), { className: "more", hidden: true });
      const find = key === "label"
        ? element("input", { type: "search", placeholder: "Find a label", "aria-label": "Find a label", hidden: true, autocomplete: "off" })
        : null;
      find?.addEventListener("input", () => this.#draw(key));
      const section = element("section", { className: "facet", "aria-labelledby": `facet-${key}`, hidden: true }, title, find, list, more);
      this.parts[key] = { section, list, more, find, isWide: false };
      at("facets").append(section);
    }
  }

  /** Show the counts for a question; null while they are counted. */
  show(counts, question) {
    this.counts = counts ?? this.counts;
    this.question = question;
    at("facets").classList.toggle("old", counts === null);
    for (const key of FACETS) this.#draw(key);
  }

  #expand(key) {
    this.parts[key].isWide = !this.parts[key].isWide;
    this.#draw(key);
  }

  #draw(key) {
    const { section, list, more, find, isWide } = this.parts[key];
    const counted = this.counts[key] ?? [];
    const chosen = this.question.facets[key];
    const known = new Map(counted.map((entry) => [entry.value, entry]));
    const first = [...chosen.keys()].map((value) => known.get(value) ?? { value, count: 0 });
    const sought = find?.value.trim().toLowerCase() ?? "";
    let others = counted.filter(({ value }) => !chosen.has(value));
    if (sought) others = others.filter(({ value }) => value.toLowerCase().includes(sought));
    const limit = isWide || sought ? FOUND : SHOWN;
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.value : null;
    list.replaceChildren(...[...first, ...others.slice(0, Math.max(0, limit - first.length))].map((entry) => this.#item(key, entry)));
    if (focused !== null) [...list.querySelectorAll("button")].find((item) => item.dataset.value === focused)?.focus();
    section.hidden = counted.length === 0 && chosen.size === 0;
    more.hidden = sought !== "" || others.length + first.length <= SHOWN;
    more.textContent = isWide ? "Fewer" : "More";
    more.setAttribute("aria-label", `${more.textContent} ${TITLES[key].toLowerCase()}`);
    if (find) find.hidden = counted.length <= SHOWN && !sought;
  }

  #item(key, { value, count }) {
    const state = this.question.facets[key].get(value) ?? 0;
    const made = element(
      "button",
      { type: "button", "data-value": value, "data-state": STATES[state] ?? "off", title: NEXT[state] },
      element("span", { className: "name", textContent: value }),
      state ? element("span", { className: "unseen", textContent: `, ${STATES[state]}, ` }) : " ",
      element("span", { className: "number", textContent: count.toLocaleString("en") }),
    );
    made.setAttribute("aria-pressed", String(state !== 0));
    made.addEventListener("click", () => this.onCycle(key, value));
    return element("li", {}, made);
  }
}
