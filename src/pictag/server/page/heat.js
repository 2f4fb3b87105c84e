// The buttons beside the labels of a card: they show which areas of the image changed a label's score.

const MEANING = "Areas that changed this model's score: yellow raised it, blue lowered it, hatched was not seen.";

/**
 * The heatmap over the image in `frame`, with its meaning in `note`. `explain(label, signal)` gives a heatmap as
 * a Blob.
 */
export class Heat {
  #controller = new AbortController();
  #pressed = null;

  constructor(frame, note, explain) {
    Object.assign(this, { frame, note, explain });
  }

  /** A button for each label, in the items of their list. */
  addButtons(items, labels) {
    items.forEach((item, index) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Areas" });
      button.className = "areas";
      button.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-label", `Areas for ${labels[index].label}`);
      button.addEventListener("click", () => this.#toggle(button, labels[index].label));
      item.querySelector(".score").after(button);
    });
  }

  /** Removes the heatmap and ends the request for one. */
  clear() {
    this.#controller.abort();
    this.#pressed?.setAttribute("aria-pressed", "false");
    this.#pressed = null;
    this.image?.remove();
    if (this.image) URL.revokeObjectURL(this.image.src);
    this.image = null;
    this.#say("");
  }

  async #toggle(button, label) {
    const wasPressed = button === this.#pressed;
    this.clear();
    if (wasPressed) return;
    const controller = new AbortController();
    this.#controller = controller;
    this.#pressed = button;
    button.setAttribute("aria-pressed", "true");
    this.#say("Looking for the areas");
    try {
      const heatmap = await this.explain(label, controller.signal);
      if (controller.signal.aborted) return;
      const alt = `Heatmap of the areas that changed the score of ${label}`;
      this.image = Object.assign(document.createElement("img"), { alt, draggable: false, className: "heat" });
      this.image.src = URL.createObjectURL(heatmap);
      this.frame.append(this.image);
      this.#say(MEANING);
    } catch (error) {
      if (controller.signal.aborted) return;
      this.clear();
      this.#say(error.message);
    }
  }

  #say(text) {
    this.note.textContent = text;
  }
}
