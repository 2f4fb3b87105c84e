// One image on the page, with its labels or an error. Everything from outside is shown as text, never as markup.

import { Heat } from "./heat.js";

const MANY_LABELS = 10; // longer lists scroll within their card

/**
 * A card in the list; `onRemove` and `onRetry` are called when its buttons are used, `onExplain` as `Heat`'s
 * `explain`.
 */
export class Card {
  constructor(file, { onRemove, onRetry, onExplain }) {
    this.name = file.name || "image";
    this.address = URL.createObjectURL(file);
    this.image = element("img", { alt: "", loading: "lazy", decoding: "async", draggable: false });
    this.frame = element("div", { className: "frame" }, this.image);
    this.image.addEventListener("error", () => {
      // A format that the server can read but the browser cannot.
      this.frame.replaceChildren(element("span", { className: "hint", textContent: "No preview" }));
    });
    this.image.src = this.address;
    const name = element("span", { textContent: this.name });
    this.title = element("h3", { title: this.name, tabIndex: -1 }, name);
    const remove = element("button", { type: "button", className: "remove", textContent: "×" });
    remove.setAttribute("aria-label", `Remove ${this.name}`);
    remove.addEventListener("click", onRemove);
    this.state = element("p", { className: "state" });
    this.concepts = listOf("ul", "concepts", `Concepts of ${this.name}`);
    this.labels = listOf("ol", "labels", `Labels of ${this.name}`);
    this.retry = element("button", { type: "button", textContent: "Try again", hidden: true });
    this.retry.addEventListener("click", onRetry);
    const note = element("p", { className: "hint" });
    note.setAttribute("role", "status");
    this.heat = new Heat(this.frame, note, onExplain);
    const body = element("div", { className: "body" });
    const title = element("div", { className: "title" }, this.title, remove);
    body.append(title, this.state, this.retry, note, this.concepts, this.labels);
    this.root = element("li", { className: "card" }, this.frame, body);
    this.wait();
  }

  wait(text = "Waiting") {
    this.#show("waiting", text);
  }

  run() {
    this.#show("running", "Looking");
  }

  /**
   * The concepts as words, the labels as bars, with their percentages; scores that are no probabilities as plain
   * numbers. Gives the first of each in words.
   */
  finish(labels, concepts) {
    this.concepts.replaceChildren(...concepts.map(({ keyword, score }) => element(
      "li",
      {},
      element("span", { className: "name", textContent: keyword }),
      " ",
      element("span", { className: "score", textContent: percent(score) }),
    )));
    const shares = labels.every(({ score }) => score >= 0 && score <= 1);
    const written = ({ score }) => (shares ? percent(score) : score.toFixed(3));
    const largest = Math.max(...labels.map(({ score }) => Math.abs(score)), Number.MIN_VALUE);
    this.labels.replaceChildren(...labels.map((found) => {
      const { label, score } = found;
      const bar = element("span", { className: "bar" }, element("span"));
      bar.setAttribute("aria-hidden", "true");
      bar.firstChild.style.setProperty("inline-size", `${100 * (shares ? score : Math.abs(score) / largest)}%`);
      return element(
        "li",
        {},
        element("span", { className: "label" }, ...namesOf(label)),
        " ",
        element("span", { className: "score", textContent: written(found) }),
        bar,
      );
    }));
    this.heat.addButtons([...this.labels.children], labels);
    const many = labels.length > MANY_LABELS;
    this.labels.classList.toggle("many", many);
    if (many) this.labels.tabIndex = 0; // so that it can be scrolled with the keyboard
    else this.labels.removeAttribute("tabindex");
    this.#show("done", labels.length ? "" : "No labels");
    const best = labels.length ? `${labels[0].label}, ${written(labels[0])}` : "no label";
    return [...concepts.slice(0, 1).map((c) => `${c.keyword}, ${percent(c.score)}`), best].join("; ");
  }

  /** `canRetry`: whether trying the same image again may help. */
  fail(message, { requestId = "", canRetry = true } = {}) {
    this.concepts.replaceChildren();
    this.labels.replaceChildren();
    this.#show("failed", message);
    this.retry.hidden = !canRetry;
    if (requestId) this.state.append(element("small", { textContent: `Request ${requestId}` }));
  }

  remove() {
    this.heat.clear();
    URL.revokeObjectURL(this.address);
    this.root.remove();
  }

  #show(state, text) {
    this.heat.clear();
    this.root.dataset.state = state;
    this.state.textContent = text;
    this.state.hidden = text === "";
    if (document.activeElement === this.retry) this.title.focus(); // the button disappears; keep the keyboard's position
    this.retry.hidden = state !== "failed";
    for (const list of [this.concepts, this.labels]) list.hidden = list.childElementCount === 0;
    // While an image is classified again, its old labels stay, dimmed, so that the layout does not move.
    this.root.setAttribute("aria-busy", String(state === "waiting" || state === "running"));
  }
}

/** The parts of a label such as "tabby, tabby cat": its first name, and its synonyms. */
function namesOf(label) {
  const [, first, synonyms] = label.match(/^(.+?), (.+)$/s) ?? ["", label, ""];
  const name = element("span", { className: "name", textContent: first });
  if (!synonyms) return [name];
  const comma = element("span", { className: "comma", textContent: "," }); // not shown, but read out and copied
  return [name, comma, " ", element("span", { className: "synonyms", textContent: synonyms })];
}

function listOf(tag, className, label) {
  const list = element(tag, { className, hidden: true });
  list.setAttribute("role", "list"); // which some screen readers drop for lists without markers
  list.setAttribute("aria-label", label);
  return list;
}

function percent(score) {
  if (score > 0 && score < 0.001) return "< 0.1%";
  if (score < 1 && score > 0.999) return "> 99.9%";
  return `${(100 * score).toFixed(1)}%`;
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
