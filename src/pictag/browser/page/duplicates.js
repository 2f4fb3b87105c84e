// Groups of duplicates side by side, with the reason and the photo to keep.

import { get } from "./client.js";
import { at, button, bytes, count, element, thumbnail } from "./elements.js";

const ASK_AGAIN_MS = 1000;

export class Duplicates {
  constructor({ review, onOpen }) {
    Object.assign(this, { review, onOpen });
    this.isShown = false;
    at("more-groups").addEventListener("click", () => this.#more());
  }

  show() {
    this.isShown = true;
    this.loaded = 0;
    at("groups").replaceChildren();
    this.#more();
  }

  hide() {
    this.isShown = false;
    clearTimeout(this.waiting);
  }

  async #more() {
    let found;
    try {
      found = await get("api/duplicates", `offset=${this.loaded}`);
    } catch (error) {
      this.review.say(error.message);
      return;
    }
    if (!this.isShown) return;
    if (found.total === null) {
      at("duplicates-title").textContent = "Duplicates";
      at("duplicates-hint").hidden = true;
      at("groups").replaceChildren(element("p", { className: "hint", role: "status", textContent: found.message || "Comparing all photos. Many photos take a minute …" }));
      at("more-groups").hidden = true;
      if (!found.message) this.waiting = setTimeout(() => this.#more(), ASK_AGAIN_MS);
      return;
    }
    if (!this.loaded) at("groups").replaceChildren();
    at("groups").append(...found.groups.filter(({ photos }) => photos.length > 1).map((group) => this.#group(group)));
    this.loaded += found.groups.length;
    this.total = found.total;
    this.#count();
  }

  #count() {
    at("duplicates-title").textContent = this.total ? count(this.total, "group") + " of duplicates" : "No duplicates";
    at("more-groups").hidden = this.loaded >= this.total;
    at("duplicates-hint").hidden = !this.total;
  }

  #group({ kind, reason, photos }) {
    const [why, keep] = reason.split("; keep the first: ");
    const ids = photos.map(({ id }) => id);
    const others = photos.filter((photo) => !photo.keep);
    const card = element(
      "article",
      { className: "group", "aria-label": `${count(photos.length)}, ${kind === "same" ? "the same" : "nearly the same"}` },
      element("p", { className: "reason" }, element("strong", { textContent: capital(why) })),
      element("ul", { role: "list" }, ...photos.map((photo) => this.#photo(photo, keep))),
      element(
        "div",
        { className: "actions" },
        button("Not duplicates", async () => {
          if (!(await this.review.dismiss(ids))) return;
          const next = card.nextElementSibling?.querySelector("button") ?? at("duplicates-title");
          card.remove();
          next.focus();
          this.total -= 1;
          this.loaded -= 1;
          this.#count();
        }),
        button(others.length === 1 ? "Copy the other path" : "Copy the other paths", () => this.#copy(others)),
      ),
    );
    return card;
  }

  #photo(photo, reason) {
    const image = element("img", { alt: "", loading: "lazy", decoding: "async", width: photo.width || 4, height: photo.height || 3 });
    if (!photo.error) image.src = thumbnail(photo, 512);
    const opener = button("", () => this.onOpen(photo), { className: photo.blurred ? "frame blurred" : "frame", "aria-label": `Open ${photo.name}` });
    opener.append(image);
    const date = photo.taken ? new Date(photo.taken).toLocaleDateString("en", { dateStyle: "medium" }) : "";
    return element(
      "li",
      { className: photo.keep ? "keep" : "" },
      opener,
      element("p", {}, photo.keep ? element("span", { className: "badge", textContent: "Keep" }) : null, element("strong", { textContent: photo.name })),
      photo.keep && reason ? element("p", { className: "hint", textContent: capital(reason) }) : null,
      element("p", { className: "hint", textContent: [`${photo.width} × ${photo.height}`, bytes(photo.size), photo.type, date].filter(Boolean).join(" · ") }),
      element("p", { className: "hint path", textContent: photo.folder }),
    );
  }

  async #copy(photos) {
    try {
      await navigator.clipboard.writeText(photos.map(({ folder, name }) => `${folder}/${name}`).join("\n"));
      this.review.say(`Copied ${count(photos.length, "path")}.`);
    } catch {
      this.review.say("The browser did not allow copying.");
    }
  }
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
