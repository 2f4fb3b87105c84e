// The gallery: what is asked is in the address, so that reload, back and a second tab show the same.

import { Blur } from "./blur.js";
import { get } from "./client.js";
import { Duplicates } from "./duplicates.js";
import { at, button, count, element, isTyping, percent } from "./elements.js";
import { Facets } from "./facets.js";
import { Grid } from "./grid.js";
import { PhotoView } from "./photo.js";
import { cycle, emptyQuestion, FACETS, isNarrowed, readQuestion, writeQuestion } from "./question.js";
import { Review } from "./review.js";
import { SearchBox } from "./search_box.js";

const STATUS_MS = 5000;
const RECOUNT_MS = 800; // after the last decision
const SLIDER_MS = 150;

let question = emptyQuestion();
let asking; // the running search
let status = null;
let activeFilters = 0;
let shownFiles = null; // how many files the library had when the photos were searched

const review = new Review({
  resultOf: () => grid.result ?? "",
  onChange: (photos, { isWide, isOther, isUndo }) => {
    grid.update(photos, { isOther });
    if (photoView.photo) photoView.refresh();
    if (isUndo && !at("duplicates").hidden) duplicates.show();
    clearTimeout(recounting);
    recounting = setTimeout(isWide && !isOther && photos.length === 0 ? () => ask({ stay: true }) : recount, RECOUNT_MS);
  },
});
let recounting;
const grid = new Grid(at("grid"), { onOpen: openPhoto, onSelect: showSelection, onLost: lose });
const photoView = new PhotoView({
  grid,
  review,
  onMove: (id) => writeAddress({ photo: id }),
  onClose: () => writeAddress({}),
  onLike: showLike,
});
const facets = new Facets((key, value) => change(() => cycle(question, key, value)));
const searchBox = new SearchBox((text) => {
  if (text.trim() !== question.text.trim() || at("search").hasAttribute("aria-invalid")) change(() => { question.text = text; });
});
const blur = new Blur(() => ask({ stay: true }));
const duplicates = new Duplicates({
  review,
  onOpen: (photo) => {
    photoView.index = undefined;
    photoView.openPhoto(photo, writeQuestion(question));
  },
});

// ---- asking

/** Change the question, and ask it. */
function change(edit, { replace = false } = {}) {
  edit();
  show("photos");
  writeAddress({}, replace);
  ask();
}

/** Search and count. The photos don't wait for the counts. */
async function ask({ stay = false, fresh = false } = {}) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const parameters = writeQuestion(question);
  for (const word of blur.words) parameters.append("blur", word);
  showQuestion();
  if (fresh) parameters.set("fresh", "1");
  const searching = get("api/search", parameters, { signal });
  const counting = get("api/facets", parameters, { signal });
  counting.catch(() => {}); // the search fails in the same way
  try {
    const found = await searching;
    searchBox.showError(null);
    at("trouble").hidden = true;
    grid.isAlike = Boolean(question.like);
    grid.show(found, { stay });
    showTotal(found);
    facets.show((await counting).facets, question);
    if (status) shownFiles = status.files;
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 400) searchBox.showError(error);
    else showTrouble(error.message);
  }
}

/** Count again after decisions; the photos stay where they are until the next search. */
async function recount() {
  try {
    facets.show((await get("api/facets", writeQuestion(question))).facets, question);
  } catch {
    // the next search says what is wrong
  }
}

/** Photos could not be loaded: the server was started again, or is gone. */
function lose(error) {
  if (error.status === 410) ask({ stay: true });
  else showTrouble(error.message);
}

// ---- the address

function writeAddress({ photo }, replace = false) {
  const parameters = writeQuestion(question);
  if (!at("duplicates").hidden) parameters.set("view", "duplicates");
  if (photo) parameters.set("photo", photo);
  const address = String(parameters) ? `?${parameters}` : "./";
  const isSame = new URL(address, location.href).href === location.href;
  const had = new URLSearchParams(location.search).has("photo");
  if (isSame) return;
  if (replace || (had && photo)) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

/** Show what the address says. */
async function readAddress() {
  const parameters = new URLSearchParams(location.search);
  question = readQuestion(parameters);
  at("search").value = question.text;
  searchBox.set(question.text);
  const wanted = Number(parameters.get("photo"));
  if (!wanted && at("photo").open) {
    photoView.photo = null;
    at("photo").close();
  }
  show(parameters.get("view") === "duplicates" ? "duplicates" : "photos");
  await ask();
  if (wanted && photoView.photo?.id !== wanted) {
    try {
      const photo = await get(`api/photos/${wanted}`, writeQuestion(question));
      photoView.index = grid.places?.get(wanted);
      await photoView.openPhoto({ ...photo, score: null }, writeQuestion(question));
    } catch (error) {
      review.say(error.message);
      writeAddress({}, true);
    }
  }
}

// ---- what is shown

function show(view) {
  at("photos").hidden = view !== "photos";
  at("duplicates").hidden = view !== "duplicates";
  document.body.dataset.view = view;
  if (view === "duplicates") duplicates.show();
  else duplicates.hide();
}

function showQuestion() {
  searchBox.set(at("search").value);
  facets.show(null, question);
  const chips = [];
  const chip = (text, name, remove, state = "included") => chips.push(element(
    "li",
    { className: "chip", "data-state": state },
    element("span", { textContent: text }),
    button("×", () => { change(remove); at("total").focus(); }, { "aria-label": `Remove ${name}` }),
  ));
  for (const key of FACETS) {
    for (const [value, state] of question.facets[key]) {
      chip(state > 0 ? value : `not ${value}`, value, () => question.facets[key].delete(value), state > 0 ? "included" : "excluded");
    }
  }
  if (question.min) chip(`score ≥ ${percent(Number(question.min))}`, "the score", () => { question.min = ""; });
  if (question.like) {
    chip("like", "the similarity", () => { question.like = ""; });
    chips.at(-1).firstChild.after(element("img", { alt: "the photo that you chose", src: `images/${encodeURIComponent(question.like)}/256` }));
  }
  at("chips").replaceChildren(...chips);
  at("score").value = question.min ? 100 * Number(question.min) : 0;
  showScore();
  at("sort").value = question.sort;
  at("show-hidden").checked = question.hidden;
  activeFilters = chips.length + Number(question.hidden);
  showToggle();
}

/** On small screens the filters cover the photos; the button leads back to them. */
function showToggle() {
  const isOpen = document.body.classList.contains("filtering");
  const name = activeFilters ? `Filters (${activeFilters})` : "Filters";
  at("filters-toggle").textContent = isOpen ? `Show ${count(grid.total)}` : name;
  at("filters-toggle").setAttribute("aria-expanded", String(isOpen));
}

function showScore() {
  const value = Number(at("score").value);
  at("score-value").textContent = value ? `at least ${value}%` : "any";
  at("score").setAttribute("aria-valuetext", at("score-value").textContent);
}

function showTotal({ total, query, word }) {
  at("total").textContent = total ? count(total) : isNarrowed(question) ? "Nothing found" : "No photos";
  document.title = `${query || "Gallery"} · pictag`;
  at("empty").hidden = total > 0;
  grid.root.hidden = total === 0;
  document.body.classList.toggle("unindexed", total === 0 && !isNarrowed(question));
  showToggle();
  if (total) grid.draw();
  else showEmpty();
  grid.root.setAttribute("aria-label", word ? `Photos, to review: ${word}` : "Photos");
}

function showEmpty() {
  if (isNarrowed(question)) {
    at("empty").replaceChildren(
      element("p", { textContent: "No photo matches everything that you asked for." }),
      button("Show all photos", () => change(() => { question = emptyQuestion(); at("search").value = ""; }), { className: "primary" }),
    );
    return;
  }
  at("empty").replaceChildren(
    element("h3", { textContent: "There are no photos here yet" }),
    element("p", { textContent: "Index a folder in a terminal. The photos appear here while that runs." }),
    element("code", { textContent: status ? `pictag index ~/Pictures --library ${quote(status.library)}` : "pictag index ~/Pictures" }),
  );
}

function showTrouble(text) {
  at("trouble").replaceChildren(element("p", { textContent: text }), button("Try again", () => ask({ stay: true })));
  at("trouble").hidden = false;
}

function showSelection() {
  const number = grid.selected.size;
  at("selection").hidden = number === 0;
  document.body.classList.toggle("selecting", number > 0);
  if (!number) return;
  at("selected").textContent = `${count(number)} selected`;
  const actions = [["Confirm", "y"], ["Reject", "n"], ["Hide", "x"], ["Keyword", "k"]].map(([name, key]) => element(
    "button",
    { type: "button", "aria-keyshortcuts": key, "data-press": key },
    grid.word && (key === "y" || key === "n") ? `${name} ${grid.word} ` : `${name} `,
    element("kbd", { textContent: key }),
  ));
  actions.forEach((made) => made.addEventListener("click", () => pressReview(made.dataset.press)));
  actions.push(
    button("Write XMP", () => review.writeSidecars([...grid.selected])),
    button("Clear", () => { grid.clearSelection(); grid.focus(); }),
  );
  at("selection-actions").replaceChildren(...actions);
}

async function openPhoto(index) {
  await photoView.open(index, writeQuestion(question));
}

function showLike(photo) {
  at("search").value = "";
  change(() => {
    question = emptyQuestion();
    question.like = String(photo.id);
  });
}

// ---- new photos while indexing runs

async function watch() {
  try {
    const now = await get("api/status", "", { priority: "low" });
    const isFirst = status === null;
    const isGrowing = !isFirst && now.files !== status.files;
    status = now;
    shownFiles ??= now.files;
    const added = now.files - shownFiles;
    if (grid.total === 0 && !isNarrowed(question)) {
      if (added > 0) ask({ fresh: true });
      else showEmpty();
    }
    at("growing").hidden = added <= 0 || grid.total === 0;
    at("growing-text").textContent = isGrowing
      ? `Indexing: ${count(added, "new photo")} so far, ${now.files.toLocaleString("en")} in all.`
      : `${count(added, "new photo")} since you opened the page.`;
  } catch {
    // requests that the user makes say what is wrong
  }
  setTimeout(watch, document.hidden ? 4 * STATUS_MS : STATUS_MS);
}

// ---- keys

let pressing = Promise.resolve(); // one key after the other, also when photos still load

function pressReview(key) {
  pressing = pressing.then(() => pressOne(key));
  return pressing;
}

async function pressOne(key) {
  if (grid.selected.size > 0) {
    const known = [...grid.selected].map((id) => grid.photos[grid.places.get(id)]).filter(Boolean);
    const unknown = [...grid.selected].filter((id) => !grid.places.has(id));
    // Photos that were never on the screen have no caption yet: only a question about a label names one.
    const others = unknown.map((id) => ({ id, caption: grid.word ? { word: grid.word } : null, hidden: false }));
    return review.press(key, [...known, ...others], { advance: async () => {} });
  }
  const photo = grid.total ? await grid.photo(grid.active) : null;
  return review.press(key, photo ? [photo] : [], { advance: async () => grid.focus(grid.active + 1) });
}

addEventListener("keydown", async (event) => {
  if (event.defaultPrevented || isTyping(event) || document.querySelector("dialog[open]")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^[a-z?]$/.test(key) && !event.ctrlKey && !event.metaKey && !event.altKey) event.preventDefault();
  if (event.ctrlKey || event.metaKey) {
    if (key === "a" && !at("photos").hidden && grid.total) {
      event.preventDefault();
      grid.selectAll();
    }
    return;
  }
  if (event.altKey) return;
  if (key === "/") {
    event.preventDefault();
    at("search").focus();
    at("search").select();
  } else if (key === "?") at("help").showModal();
  else if (key === "u") review.undo();
  else if (at("photos").hidden) return;
  else if (key === "Escape" && grid.selected.size) grid.clearSelection();
  else if (event.target.closest?.("button, a, summary, input") && (key === "Enter" || key === " ")) return;
  else if (event.target.type === "range" || event.target.tagName === "SELECT") return;
  else if (await grid.press(event)) return;
  else if (key === "Enter" && grid.total) openPhoto(grid.active);
  else if (key === " " && grid.total) {
    event.preventDefault();
    grid.toggle();
  } else if (key === "m" && grid.photos[grid.active]?.key) showLike(grid.photos[grid.active]);
  else await pressReview(key);
});

// ---- start

let sliding;
at("score").addEventListener("input", () => {
  showScore();
  clearTimeout(sliding);
  sliding = setTimeout(() => change(() => {
    const value = Number(at("score").value);
    question.min = value ? String(value / 100) : "";
  }, { replace: true }), SLIDER_MS);
});
at("sort").addEventListener("change", () => change(() => { question.sort = at("sort").value; }));
at("show-hidden").addEventListener("change", () => change(() => { question.hidden = at("show-hidden").checked; }));
at("filters-toggle").addEventListener("click", () => {
  document.body.classList.toggle("filtering");
  showToggle();
});
at("help-open").addEventListener("click", () => at("help").showModal());
at("home").addEventListener("click", (event) => {
  event.preventDefault();
  at("search").value = "";
  change(() => { question = emptyQuestion(); });
});
at("duplicates-link").addEventListener("click", (event) => {
  event.preventDefault();
  show("duplicates");
  writeAddress({});
  at("duplicates-title").focus();
});
at("back").addEventListener("click", (event) => {
  event.preventDefault();
  show("photos");
  writeAddress({});
  grid.measure();
  grid.draw();
});
at("growing-show").addEventListener("click", () => {
  at("growing").hidden = true;
  at("total").focus();
  ask({ fresh: true });
});
addEventListener("popstate", readAddress);

function quote(path) {
  return /^[\w./~-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

// The token isn't needed in the address any more, and shouldn't be in the history.
const first = new URLSearchParams(location.search);
if (first.has("token")) {
  first.delete("token");
  history.replaceState(null, "", String(first) ? `?${first}` : "./");
}
readAddress();
watch();
