// The grid of photos: only the tiles near the window exist, and the server sends the photos page by page.

import { get } from "./client.js";
import { element, percent, thumbnail } from "./elements.js";

const PAGE = 100; // as the server sends them
const SPARE_ROWS = 2; // drawn above and below the window
const MARKS = { confirmed: ["✓", "confirmed"], added: ["✓", "added"], rejected: ["✕", "rejected"] };

export class Grid {
  /** `onOpen(index)`, `onSelect()`, and `onLost()` when the server no longer has the result. */
  constructor(root, { onOpen, onSelect, onLost }) {
    Object.assign(this, { root, onOpen, onSelect, onLost });
    this.total = 0;
    this.photos = [];
    this.selected = new Set();
    this.tiles = new Map();
    this.loading = new Map();
    this.active = 0;
    this.anchor = 0;
    let isWaiting = false;
    const draw = () => {
      if (isWaiting) return;
      isWaiting = true;
      requestAnimationFrame(() => { isWaiting = false; this.draw(); });
    };
    addEventListener("scroll", draw, { passive: true });
    new ResizeObserver(() => { this.measure(); draw(); }).observe(root);
    root.addEventListener("click", (event) => this.#click(event));
    root.addEventListener("focusin", (event) => {
      const index = Number(event.target.dataset?.index);
      if (Number.isInteger(index) && event.target !== root) this.#activate(index);
    });
  }

  /** Show another result; with `stay`, the place and the selection are kept. */
  show({ result, total, photos, word }, { stay = false } = {}) {
    const hadFocus = this.root.contains(document.activeElement);
    this.result = result;
    this.word = word;
    this.total = total;
    this.photos = [];
    this.places = new Map();
    this.loading.clear();
    if (!stay) {
      this.selected.clear();
      this.active = this.anchor = 0;
      if (scrollY > this.#top()) scrollTo(0, 0);
    }
    this.active = Math.max(0, Math.min(this.active, total - 1));
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
    this.#take(0, photos);
    this.measure();
    this.draw();
    if (hadFocus) this.focus();
    this.onSelect();
  }

  measure() {
    const width = this.root.clientWidth;
    if (!width) return;
    const style = getComputedStyle(this.root);
    const wanted = parseFloat(style.getPropertyValue("--tile"));
    this.gap = parseFloat(style.getPropertyValue("--tile-gap"));
    this.columns = Math.max(3, Math.floor((width + this.gap) / (wanted + this.gap)));
    this.size = (width - this.gap * (this.columns - 1)) / this.columns;
    this.step = this.size + this.gap;
    this.rows = Math.ceil(this.total / this.columns);
    this.root.style.setProperty("block-size", `${Math.max(0, this.rows * this.step - this.gap)}px`);
    for (const [index, tile] of this.tiles) this.#place(tile, index);
  }

  draw() {
    if (!this.step || this.root.offsetParent === null) return;
    const top = -this.root.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / this.step) - SPARE_ROWS);
    const last = Math.min(this.rows - 1, Math.floor((top + innerHeight) / this.step) + SPARE_ROWS);
    const wanted = new Set();
    for (let index = first * this.columns; index < Math.min(this.total, (last + 1) * this.columns); index += 1) {
      wanted.add(index);
    }
    for (const index of wanted) this.#load(index);
    if (this.total) wanted.add(this.active); // keeps the keyboard's position
    for (const [index, tile] of this.tiles) {
      if (!wanted.has(index)) {
        tile.remove();
        this.tiles.delete(index);
      }
    }
    for (const index of wanted) {
      if (!this.tiles.has(index)) this.#add(index);
    }
  }

  /** The photo at an index, once it is there. */
  async photo(index) {
    await this.#load(index);
    return this.photos[index];
  }

  /** Photos whose decisions changed; `isOther`: in another tab, which may ask for another label. */
  update(photos, { isOther = false } = {}) {
    for (const photo of photos) {
      const index = this.places?.get(photo.id);
      if (index === undefined) continue;
      const { score, caption } = this.photos[index];
      const isAnother = isOther && photo.caption?.word !== caption?.word;
      this.photos[index] = { ...photo, score, caption: isAnother ? caption : photo.caption };
      const tile = this.tiles.get(index);
      if (tile) this.#fill(tile, index);
    }
  }

  focus(index = this.active) {
    if (!this.total) return;
    this.#activate(Math.max(0, Math.min(index, this.total - 1)));
    this.#reveal(this.active);
    this.draw();
    this.tiles.get(this.active)?.focus({ preventScroll: true });
  }

  /** Move with the keyboard; `extend` selects what is between. Returns whether the key is one of these. */
  async press(event) {
    const rows = Math.max(1, Math.floor(innerHeight / this.step) - 1);
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -rows * this.columns, PageDown: rows * this.columns, Home: -Infinity, End: Infinity,
    };
    const step = steps[event.key];
    if (step === undefined || !this.total) return false;
    event.preventDefault();
    const from = event.shiftKey ? this.anchor : null;
    this.focus(this.active + step);
    if (from === null) this.anchor = this.active;
    else await this.#selectRange(from, this.active);
    return true;
  }

  toggle(index = this.active) {
    const id = this.photos[index]?.id;
    if (id === undefined) return;
    if (!this.selected.delete(id)) this.selected.add(id);
    this.anchor = index;
    this.#mark();
  }

  async selectAll() {
    const { ids } = await get(`api/results/${this.result}/ids`);
    this.selected = new Set(ids);
    this.#mark();
  }

  clearSelection() {
    this.selected.clear();
    this.#mark();
  }

  /** The ids that an action is about: the selection, or the active photo. */
  chosen() {
    if (this.selected.size) return [...this.selected];
    const id = this.photos[this.active]?.id;
    return id === undefined ? [] : [id];
  }

  async #selectRange(from, to) {
    const [first, last] = from < to ? [from, to] : [to, from];
    for (let index = first; index <= last; index += PAGE) await this.#load(index);
    await this.#load(last);
    for (let index = first; index <= last; index += 1) {
      if (this.photos[index]) this.selected.add(this.photos[index].id);
    }
    this.#mark();
  }

  #click(event) {
    const tile = event.target.closest("[data-index]");
    if (!tile) return;
    const index = Number(tile.dataset.index);
    const isCheck = event.target.classList.contains("select");
    this.#activate(index);
    tile.focus({ preventScroll: true });
    if (event.shiftKey) this.#selectRange(this.anchor, index);
    else if (isCheck || event.ctrlKey || event.metaKey) this.toggle(index);
    else if (this.photos[index]) this.onOpen(index);
  }

  #activate(index) {
    if (index === this.active && this.tiles.get(index)?.tabIndex === 0) return;
    const before = this.tiles.get(this.active);
    if (before) before.tabIndex = -1;
    this.active = index;
    const tile = this.tiles.get(index);
    if (tile) tile.tabIndex = 0;
  }

  #top() {
    return this.root.getBoundingClientRect().top + scrollY;
  }

  #reveal(index) {
    const head = document.querySelector("header").offsetHeight + 8;
    const top = this.#top() + Math.floor(index / this.columns) * this.step;
    const foot = document.getElementById("selection").offsetHeight + 8;
    if (top - head < scrollY) scrollTo(0, top - head);
    else if (top + this.size + foot > scrollY + innerHeight) scrollTo(0, top + this.size + foot - innerHeight);
  }

  #take(offset, photos) {
    photos.forEach((photo, place) => {
      this.photos[offset + place] = photo;
      if (photo) this.places.set(photo.id, offset + place);
    });
  }

  #load(index) {
    const page = Math.floor(index / PAGE);
    if (this.photos[page * PAGE] !== undefined || index >= this.total) return undefined;
    if (!this.loading.has(page)) this.loading.set(page, this.#fetch(page, this.result));
    return this.loading.get(page);
  }

  async #fetch(page, result) {
    try {
      const { photos } = await get(`api/results/${result}`, `offset=${page * PAGE}&limit=${PAGE}`);
      if (result !== this.result) return;
      this.#take(page * PAGE, photos);
      for (const [index, tile] of this.tiles) {
        if (Math.floor(index / PAGE) === page) this.#fill(tile, index);
      }
    } catch (error) {
      if (result !== this.result) return;
      this.loading.delete(page);
      this.onLost(error);
    }
  }

  #add(index) {
    const tile = element("div", { className: "tile", role: "option", "data-index": index });
    tile.tabIndex = index === this.active ? 0 : -1;
    tile.setAttribute("aria-posinset", index + 1);
    tile.setAttribute("aria-setsize", this.total);
    this.#place(tile, index);
    this.#fill(tile, index);
    this.tiles.set(index, tile);
    // In the order of the photos, for screen readers.
    let next = null;
    for (let after = index + 1; after < index + this.columns * 3 && !next; after += 1) next = this.tiles.get(after) ?? null;
    this.root.insertBefore(tile, next);
  }

  #place(tile, index) {
    const column = index % this.columns;
    const row = Math.floor(index / this.columns);
    tile.style.setProperty("transform", `translate(${column * this.step}px, ${row * this.step}px)`);
    tile.style.setProperty("inline-size", `${this.size}px`);
    tile.style.setProperty("block-size", `${this.size}px`);
  }

  #fill(tile, index) {
    const photo = this.photos[index];
    if (photo === undefined) {
      tile.setAttribute("aria-label", "Loading");
      tile.setAttribute("aria-selected", "false");
      return;
    }
    if (photo === null) {
      tile.setAttribute("aria-label", "No longer in the library");
      tile.setAttribute("aria-selected", "false");
      tile.replaceChildren(element("span", { className: "gone", textContent: "Gone" }));
      return;
    }
    const { caption } = photo;
    const verdict = caption?.verdict ?? null;
    const isSelected = this.selected.has(photo.id);
    const said = [photo.name];
    if (caption) said.push(caption.score === null ? caption.word : `${caption.word} ${percent(caption.score)}`);
    if (verdict) said.push(MARKS[verdict][1]);
    if (photo.hidden) said.push("hidden");
    if (photo.error) said.push("can't be read");
    tile.setAttribute("aria-label", said.join(", "));
    tile.setAttribute("aria-selected", String(isSelected));
    tile.dataset.verdict = verdict ?? "";
    tile.classList.toggle("selected", isSelected);
    tile.classList.toggle("blurred", photo.blurred);
    tile.classList.toggle("concealed", photo.hidden);
    const source = thumbnail(photo, this.size * devicePixelRatio);
    let image = tile.querySelector("img");
    if (!image || image.dataset.source !== source) {
      image = element("img", { alt: "", decoding: "async", draggable: false, "data-source": source });
      image.addEventListener("load", () => image.classList.add("shown"), { once: true });
      image.addEventListener("error", () => image.replaceWith(broken(photo)), { once: true });
      image.src = source;
    }
    const parts = [photo.error ? broken(photo) : image, element("span", { className: "select" })];
    if (caption) {
      let score = caption.score === null ? "" : percent(caption.score);
      if (this.isAlike && photo.score !== null) score = `${percent(photo.score)} alike`;
      parts.push(element(
        "span",
        { className: "caption" },
        element("span", { className: "word", textContent: caption.word }),
        element("span", { className: "score", textContent: verdict ? MARKS[verdict][0] : score }),
      ));
    }
    tile.replaceChildren(...parts);
  }

  #mark() {
    for (const [index, tile] of this.tiles) {
      const isSelected = this.selected.has(this.photos[index]?.id);
      tile.setAttribute("aria-selected", String(isSelected));
      tile.classList.toggle("selected", isSelected);
    }
    this.onSelect();
  }
}

function broken(photo) {
  return element("span", { className: "gone", textContent: photo.error ? "Can't be read" : "No preview" });
}
