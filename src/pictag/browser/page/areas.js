// The buttons beside the labels of a photo: they show which areas of it changed a label's score.

import { getImage } from "./client.js";
import { button, element } from "./elements.js";

const WAIT_MS = 700; // before asking again while another explanation is computed

export class Areas {
  #controller = new AbortController();
  #word = null;
  #shown = null;

  /** The heatmap goes over `image`, what it means into `note`. */
  constructor(image, note) {
    Object.assign(this, { image, note });
  }

  /** The button of a label. */
  button(id, word) {
    return button("Areas", () => this.#toggle(id, word), {
      className: "areas",
      "aria-label": `Areas for ${word}`,
      "aria-pressed": String(word === this.#word),
      "data-areas": word,
      "data-key": `areas ${word}`,
    });
  }

  /** Remove the heatmap, and don't wait for one any longer. */
  clear() {
    this.#controller.abort();
    if (this.#shown) URL.revokeObjectURL(this.#shown.src);
    this.#shown?.remove();
    this.#shown = null;
    this.#press(null);
    this.note.textContent = "";
  }

  async #toggle(id, word) {
    const wasPressed = word === this.#word;
    this.clear();
    if (wasPressed) return;
    const { signal } = this.#controller = new AbortController();
    this.#press(word);
    this.note.textContent = "Looking for the areas…";
    try {
      const heatmap = await this.#explain(id, word, signal);
      if (signal.aborted) return;
      this.#shown = element("img", {
        alt: `Areas that changed the score of ${word}`,
        className: "heat",
        src: URL.createObjectURL(heatmap),
      });
      this.image.after(this.#shown);
      this.note.textContent = `Areas that changed this model's score for ${word}: yellow raised it, blue lowered it, hatched was not seen.`;
    } catch (error) {
      if (signal.aborted) return;
      this.clear();
      this.note.textContent = error.message;
    }
  }

  /** The heatmap as a Blob; after the one that is being computed, if there is one. */
  async #explain(id, word, signal) {
    for (;;) {
      try {
        return await getImage(`images/${id}/areas`, new URLSearchParams({ label: word }), { signal });
      } catch (error) {
        if (error.status !== 429 || signal.aborted) throw error;
        await new Promise((resolve) => { setTimeout(resolve, WAIT_MS); });
        signal.throwIfAborted();
      }
    }
  }

  /** Show which button is pressed; the buttons are made again whenever the photo is. */
  #press(word) {
    this.#word = word;
    for (const item of document.querySelectorAll("[data-areas]")) {
      item.setAttribute("aria-pressed", String(item.dataset.areas === word));
    }
  }
}
