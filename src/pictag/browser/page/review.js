// Decisions: each is sent to pictag, shown at once in this tab, and told to the other tabs.

import { post } from "./client.js";
import { at, button, count } from "./elements.js";

const HIDDEN_WORD = "hidden in pictag"; // as in question.py
const TOAST_MS = 6000;
const IDS_AT_ONCE = 5000;

export class Review {
  /** `onChange(photos, {isWide})` is called with photos that changed; `isWide`: there may be others. */
  constructor({ resultOf, onChange }) {
    Object.assign(this, { resultOf, onChange });
    this.channel = new BroadcastChannel("pictag");
    this.channel.addEventListener("message", ({ data }) => onChange(data.photos, { isWide: true, isOther: true }));
    this.queue = Promise.resolve(); // in the order of the keys
    at("keywords").addEventListener("close", () => this.#takeKeyword());
  }

  decide(ids, word, verdict) {
    return this.#send("api/decisions", { photos: ids.slice(0, IDS_AT_ONCE), word, verdict });
  }

  hide(ids, isHidden = true) {
    return this.decide(ids, HIDDEN_WORD, isHidden ? "added" : null);
  }

  undo() {
    return this.#send("api/undo", {});
  }

  dismiss(ids) {
    return this.#send("api/dismiss", { photos: ids });
  }

  async writeSidecars(ids) {
    this.say(`Writing ${count(ids.length)} …`);
    try {
      const { written, unchanged, problems } = await post("api/sidecars", { photos: ids });
      const parts = [`Wrote ${count(written, "sidecar")}`];
      if (unchanged) parts.push(`${unchanged.toLocaleString("en")} unchanged`);
      if (problems.length) parts.push(`${count(problems.length, "problem")}: ${problems[0]}`);
      this.say(`${parts.join(", ")}.`);
    } catch (error) {
      this.say(error.message);
    }
  }

  askForKeyword(ids) {
    this.#ask({ title: "Add a keyword", ok: "Add", hint: `To ${count(ids.length)}.`, value: "", take: (word) => this.decide(ids, word, "added") });
  }

  askForNewName(old) {
    this.#ask({
      title: `Rename ${old}`,
      ok: "Rename",
      hint: "In all photos that have it.",
      value: old,
      take: (word) => this.#send("api/rename", { old, new: word }),
    });
  }

  /** The keys of reviewing; the photos must be loaded. `advance` moves on. Returns whether the key is one. */
  async press(key, photos, { advance }) {
    if (key === "u") {
      this.undo();
      return true;
    }
    if (!photos.length) return false;
    const ids = photos.map(({ id }) => id);
    if (key === "y" || key === "n") {
      const verdict = key === "y" ? "confirmed" : "rejected";
      const byWord = new Map();
      for (const { id, caption } of photos) {
        if (caption) byWord.set(caption.word, [...(byWord.get(caption.word) ?? []), id]);
      }
      for (const [word, own] of byWord) this.decide(own, word, verdict);
      if (photos.length === 1) await advance();
    } else if (key === "x") {
      this.hide(ids, !photos.every(({ hidden }) => hidden));
      if (photos.length === 1) await advance();
    } else if (key === "k") this.askForKeyword(ids);
    else return false;
    return true;
  }

  /** A sentence at the foot of the page, which screen readers announce. */
  say(text, canUndo = false) {
    const toast = at("toast");
    (document.querySelector("dialog[open]") ?? document.body).append(toast); // what is outside a dialog is inert
    toast.replaceChildren(text);
    if (canUndo) toast.append(button("Undo", () => this.undo()));
    toast.classList.add("shown");
    clearTimeout(this.hiding);
    this.hiding = setTimeout(() => toast.classList.remove("shown"), TOAST_MS);
  }

  #send(path, body) {
    const sent = this.queue.then(async () => {
      try {
        const { summary, images, photos } = await post(path, { ...body, result: this.resultOf() });
        const canUndo = path !== "api/undo" && (images > 0 || path === "api/dismiss");
        this.say(summary, canUndo);
        const isWide = path !== "api/decisions";
        this.onChange(photos, { isWide, isUndo: path === "api/undo" });
        this.channel.postMessage({ photos });
        return true;
      } catch (error) {
        this.say(error.message);
        return false;
      }
    });
    this.queue = sent;
    return sent;
  }

  #ask({ title, ok, hint, value, take }) {
    this.take = take;
    at("keywords-title").textContent = title;
    at("keywords-ok").textContent = ok;
    at("keywords-hint").textContent = hint;
    at("keywords-word").value = value;
    at("keywords").returnValue = "";
    at("keywords").showModal();
    at("keywords-word").focus();
    at("keywords-word").select();
  }

  #takeKeyword() {
    const word = at("keywords-word").value.trim();
    if (at("keywords").returnValue === "ok" && word) this.take(word);
  }
}
