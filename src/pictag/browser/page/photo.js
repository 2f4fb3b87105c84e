// One photo in full: the image, why it is here, its labels to review, keywords, and facts.

import { Areas } from "./areas.js";
import { get } from "./client.js";
import { at, button, bytes, element, isTyping, percent, thumbnail } from "./elements.js";

const PLACES = { keyword: "a keyword", label: "a label", name: "the name or folder" };

export class PhotoView {
  /**
   * `review` makes decisions, `grid` has the photos beside, `onMove(id)` and `onClose()` are called when another
   * photo is shown or none, `onLike(photo)` for more like it.
   */
  constructor({ grid, review, onMove, onClose, onLike }) {
    Object.assign(this, { grid, review, onMove, onClose, onLike });
    this.dialog = at("photo");
    this.photo = null;
    this.areas = new Areas(at("photo-image"), at("areas-note"));
    at("photo-close").addEventListener("click", () => this.dialog.close());
    at("photo-previous").addEventListener("click", () => this.step(-1));
    at("photo-next").addEventListener("click", () => this.step(1));
    this.dialog.addEventListener("close", () => {
      at("photo-image").removeAttribute("src");
      this.areas.clear();
      const wasOpen = this.photo !== null;
      this.photo = null;
      if (wasOpen) this.onClose();
      if (this.index !== undefined) this.grid.focus(this.index); // the browser has focused the photo it was opened from
    });
    this.dialog.addEventListener("keydown", (event) => this.#press(event));
    at("photo-image").addEventListener("error", () => this.#fail());
  }

  /** Show the photo at an index of the grid. */
  async open(index, question) {
    const photo = await this.grid.photo(index);
    if (!photo) return;
    this.index = index;
    await this.openPhoto(photo, question);
    for (const beside of [index + 1, index - 1]) { // ready when the keys are pressed
      const next = beside >= 0 && beside < this.grid.total ? await this.grid.photo(beside) : null;
      if (next && !next.error) new Image().src = view(next);
    }
  }

  /** Show a photo that need not be in the grid. */
  async openPhoto(photo, question = this.question) {
    this.question = question;
    this.photo = photo;
    const isNew = !this.dialog.open;
    if (isNew) this.dialog.showModal();
    this.#showImage(photo);
    at("photo-title").textContent = photo.name;
    at("photo-previous").hidden = this.index === undefined || this.index <= 0;
    at("photo-next").hidden = this.index === undefined || this.index >= this.grid.total - 1;
    if (isNew) at("photo-panel").focus({ preventScroll: true });
    this.onMove(photo.id);
    await this.refresh();
  }

  async step(by) {
    if (this.index === undefined) return;
    const next = this.index + by;
    if (next < 0 || next >= this.grid.total) return;
    await this.open(next, this.question);
  }

  /** Read again what is known of the photo. */
  async refresh() {
    if (!this.photo) return;
    const { id } = this.photo;
    try {
      const known = await get(`api/photos/${id}`, this.question);
      if (this.photo?.id === id) this.#draw(known);
    } catch (error) {
      this.review.say(error.message);
    }
  }

  #showImage(photo) {
    const image = at("photo-image");
    this.areas.clear();
    at("photo-error").hidden = true;
    image.hidden = false;
    image.alt = photo.caption ? `${photo.name}: ${photo.caption.word}` : photo.name;
    image.width = photo.width || 4;
    image.height = photo.height || 3;
    if (photo.error) {
      this.#fail(photo.error);
      return;
    }
    image.src = thumbnail(photo, 256); // is there at once
    const large = new Image();
    large.addEventListener("load", () => { if (this.photo?.id === photo.id) image.src = large.src; }, { once: true });
    large.addEventListener("error", () => { if (this.photo?.id === photo.id) this.#fail(); }, { once: true });
    large.src = view(photo);
  }

  #fail(text = "The file can't be shown. It may have moved, its disk may be missing, or it is a link that leads out of the indexed folders.") {
    if (!this.dialog.open) return;
    at("photo-image").hidden = true;
    at("photo-error").textContent = text;
    at("photo-error").hidden = false;
  }

  #draw(known) {
    this.known = known;
    const parts = [];
    if (known.matches.length) parts.push(section("Why it is here", element("ul", { role: "list", className: "why" }, ...known.matches.map(reason))));
    if (this.photo.score !== null && this.question?.get("like")) {
      parts.push(section("Why it is here", element("p", { textContent: `Similarity ${percent(this.photo.score)}, by ${known.model ?? "the model"}` })));
    }
    const decided = known.labels.filter(({ model_score }) => model_score === null).map(({ word }) => word);
    const words = [...new Set([...known.keywords, ...decided])];
    const chips = words.map((word) => this.#keyword(word, decided.includes(word)));
    parts.push(section(
      "Keywords",
      words.length ? element("ul", { role: "list", className: "words" }, ...chips) : element("p", { className: "hint", textContent: "None yet." }),
      element(
        "div",
        { className: "actions" },
        button("Add a keyword", () => this.review.askForKeyword([known.id])),
        button("Write as XMP", () => this.review.writeSidecars([known.id])),
      ),
    ));
    const labels = known.labels.filter(({ model_score }) => model_score !== null);
    const likely = labels.filter(({ score, verdict, model_score }) => verdict !== null || score >= 0.1 || model_score >= 0.1);
    const shown = likely.length ? likely : labels.slice(0, 5);
    if (shown.length) {
      parts.push(section(
        "Labels",
        element("ul", { role: "list", className: "labels" }, ...shown.map((label) => this.#label(label))),
        element("p", { className: "hint", textContent: known.model ? `Scores by ${known.model}` : "" }),
      ));
    }
    parts.push(element(
      "div",
      { className: "actions" },
      button("More like this", () => this.#like(), { className: "primary", disabled: !known.key }),
      button(known.hidden ? "Show again" : "Hide", () => this.review.hide([known.id], !known.hidden)),
    ));
    parts.push(section("File", facts(known)));
    const focused = at("photo-facts").contains(document.activeElement) ? document.activeElement.dataset.key : null;
    at("photo-facts").replaceChildren(...parts);
    if (focused) {
      const same = [...at("photo-facts").querySelectorAll("[data-key]")].find((item) => item.dataset.key === focused);
      (same ?? at("photo-panel")).focus();
    } else if (document.activeElement === document.body) at("photo-panel").focus({ preventScroll: true });
  }

  #keyword(word, isOurs) {
    const parts = [element("span", { textContent: word })];
    if (isOurs) {
      parts.push(
        button("Rename", () => this.review.askForNewName(word), { "aria-label": `Rename ${word}`, "data-key": `rename ${word}` }),
        button("×", () => this.review.decide([this.known.id], word, null), { "aria-label": `Remove ${word}`, "data-key": `remove ${word}` }),
      );
    }
    return element("li", { className: isOurs ? "ours" : "" }, ...parts);
  }

  #label({ word, score, model_score, verdict, kind }) {
    const { id } = this.known;
    const decide = (wanted) => this.review.decide([id], word, verdict === wanted ? null : wanted);
    const bar = element("span", { className: "bar", "aria-hidden": "true" }, element("span"));
    bar.firstChild.style.setProperty("inline-size", `${100 * (model_score ?? score)}%`);
    const mark = (text, wanted, name) => button(text, () => decide(wanted), {
      "aria-label": `${name} ${word}`,
      "aria-pressed": String(verdict === wanted),
      className: wanted,
      "data-key": `${wanted} ${word}`,
    });
    return element(
      "li",
      { "data-verdict": verdict ?? "", className: kind },
      element("span", { className: "word", textContent: word }),
      element("span", { className: "score", textContent: percent(model_score ?? score) }),
      kind === "label" ? this.areas.button(id, word) : null, // a concept has no score of its own to explain
      mark("✓", "confirmed", "Confirm"),
      mark("✕", "rejected", "Reject"),
      bar,
    );
  }

  #like() {
    const photo = this.known;
    this.photo = null; // the address changes to the new question, not to the closed photo
    this.dialog.close();
    this.onLike(photo);
  }

  async #press(event) {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || at("keywords").open) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const { photo } = this;
    if (step) {
      event.preventDefault();
      await this.step(step);
      return;
    }
    if (!photo) return;
    const key = event.key.toLowerCase();
    if (/^[a-z]$/.test(key)) event.preventDefault(); // otherwise it would be typed into the dialog that it opens
    if (key === "m" && this.known?.key) this.#like();
    else await this.review.press(key, [photo], { advance: () => this.step(1) });
  }
}

function view(photo) {
  return `images/${photo.id}/view?v=${photo.key}`;
}

function section(title, ...parts) {
  return element("section", {}, element("h3", { textContent: title }), ...parts);
}

function reason({ text, in: place, word, score, verdict }) {
  const line = element("li");
  if (place === "name") line.append(`“${text}” is in ${PLACES.name}`);
  else {
    const rated = verdict ?? (score === null ? "" : percent(score));
    line.append(element("strong", { textContent: word }), ` is ${PLACES[place]}${rated && `, ${rated}`}`);
  }
  return line;
}

function facts(known) {
  const rows = [
    ["Taken", known.taken ? new Date(known.taken).toLocaleString("en", { dateStyle: "long", timeStyle: "short" }) : null],
    ["Camera", known.camera],
    ["Size", `${known.width && known.height ? `${known.width} × ${known.height}, ` : ""}${bytes(known.size)}, ${known.type}`],
    ["Place", known.has_gps ? "stored in the file" : null],
    ["Folder", known.folder],
    ["Copies", known.copies.length ? known.copies.join("\n") : null],
  ];
  return element("dl", {}, ...rows.filter(([, value]) => value).map(([name, value]) => element(
    "div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }),
  )));
}
