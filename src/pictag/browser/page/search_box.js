// The search box: suggestions while a query is typed, and errors at their place in it.

import { get } from "./client.js";
import { at, element } from "./elements.js";

const SEARCH_MS = 250; // after the last key
const SUGGEST_MS = 80;

export class SearchBox {
  /** `onSearch(text)` is called when the text has changed. */
  constructor(onSearch) {
    this.input = at("search");
    this.list = at("suggestions");
    this.onSearch = onSearch;
    this.items = [];
    this.chosen = -1;
    this.input.addEventListener("input", () => this.#type());
    this.input.addEventListener("keydown", (event) => this.#press(event));
    this.input.addEventListener("blur", () => this.#hide());
    this.input.addEventListener("scroll", () => { at("mirror").scrollLeft = this.input.scrollLeft; });
    this.list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the input keeps the focus
      const place = [...this.list.children].indexOf(event.target.closest("li"));
      if (place >= 0) this.#accept(place);
    });
    at("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#hide();
      this.#search();
    });
    at("search-clear").addEventListener("click", () => {
      this.set("");
      this.#search();
      this.input.focus();
    });
  }

  set(text) {
    if (this.input.value !== text) this.input.value = text;
    at("search-clear").hidden = text === "";
    this.showError(null);
  }

  /** Show a `RequestError` at its place; null removes it. */
  showError(error) {
    const text = this.input.value;
    if (error !== null) this.#hide();
    at("search-error").hidden = error === null;
    at("search-error").textContent = error === null ? "" : error.message;
    if (error === null) this.input.removeAttribute("aria-invalid");
    else this.input.setAttribute("aria-invalid", "true");
    const parts = [];
    if (error !== null && error.end > error.start) {
      parts.push(text.slice(0, error.start), element("mark", { textContent: text.slice(error.start, error.end) }), text.slice(error.end));
    }
    at("mirror").replaceChildren(...parts);
    at("mirror").scrollLeft = this.input.scrollLeft;
  }

  #type() {
    at("search-clear").hidden = this.input.value === "";
    this.showError(null);
    clearTimeout(this.searching);
    clearTimeout(this.suggesting);
    this.searching = setTimeout(() => this.#search(), SEARCH_MS);
    this.suggesting = setTimeout(() => this.#suggest(), SUGGEST_MS);
  }

  #search() {
    clearTimeout(this.searching);
    this.onSearch(this.input.value);
  }

  async #suggest() {
    const text = this.input.value;
    const place = this.input.selectionStart;
    if (!text.slice(0, place).trim()) return this.#hide();
    this.asked?.abort();
    this.asked = new AbortController();
    try {
      const parameters = new URLSearchParams({ text, place });
      const found = await get("api/complete", parameters, { signal: this.asked.signal });
      if (text === this.input.value && document.activeElement === this.input) this.#show(found);
    } catch {
      this.#hide(); // the search itself says what is wrong
    }
    return undefined;
  }

  #show({ start, end, items }) {
    Object.assign(this, { start, end, items, chosen: -1 });
    this.list.replaceChildren(...items.map((item, place) => element(
      "li",
      { role: "option", id: `suggestion-${place}`, "aria-selected": "false" },
      element("span", { textContent: item.text }),
      item.count === null ? null : element("span", { className: "number", textContent: item.count.toLocaleString("en") }),
    )));
    this.list.hidden = items.length === 0;
    this.input.setAttribute("aria-expanded", String(items.length > 0));
    this.input.removeAttribute("aria-activedescendant");
  }

  #hide() {
    clearTimeout(this.suggesting);
    this.asked?.abort();
    this.#show({ start: 0, end: 0, items: [] });
  }

  #choose(place) {
    this.chosen = place;
    [...this.list.children].forEach((item, at_) => item.setAttribute("aria-selected", String(at_ === place)));
    if (place < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `suggestion-${place}`);
    this.list.children[place]?.scrollIntoView({ block: "nearest" });
  }

  #press(event) {
    const count = this.items.length;
    if (event.key === "ArrowDown" && count) this.#choose((this.chosen + 2) % (count + 1) - 1);
    else if (event.key === "ArrowUp" && count) this.#choose((this.chosen + count + 1) % (count + 1) - 1);
    else if ((event.key === "Enter" || event.key === "Tab") && this.chosen >= 0) this.#accept(this.chosen);
    else if (event.key === "Escape" && count) this.#hide();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #accept(place) {
    const { insert } = this.items[place];
    const text = this.input.value;
    const { start } = this;
    this.input.value = text.slice(0, start) + insert + text.slice(this.end).trimStart();
    this.input.setSelectionRange(start + insert.length, start + insert.length);
    this.#hide();
    if (/[:>]$/.test(insert)) this.#suggest();
    else this.#search();
  }
}
