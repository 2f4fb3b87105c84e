// Labels whose photos are blurred, kept in this browser.

import { at, button, element } from "./elements.js";

const KEY = "pictag-blur";

export class Blur {
  constructor(onChange) {
    this.onChange = onChange;
    this.words = read();
    at("blur-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const word = at("blur-word").value.trim();
      at("blur-word").value = "";
      if (word && !this.words.includes(word)) this.#set([...this.words, word]);
    });
    this.#draw();
  }

  #set(words) {
    this.words = words;
    try {
      localStorage.setItem(KEY, JSON.stringify(words));
    } catch {
      // a browser without storage forgets them
    }
    this.#draw();
    this.onChange();
  }

  #draw() {
    at("blur-words").replaceChildren(...this.words.map((word) => element(
      "li",
      { className: "chip" },
      element("span", { textContent: word }),
      button("×", () => {
        this.#set(this.words.filter((other) => other !== word));
        at("blur-word").focus();
      }, { "aria-label": `Don't blur ${word}` }),
    )));
    if (this.words.length) at("blur").open = true;
  }
}

function read() {
  try {
    const words = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(words) ? words.filter((word) => typeof word === "string") : [];
  } catch {
    return [];
  }
}
