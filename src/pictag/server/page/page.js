// The page: sends images two at a time and shows their labels.

import { Card } from "./card.js";
import { classify, explain, fetchModels, pathOf } from "./client.js";
import { copyText } from "./clipboard.js";
import { curlLine } from "./curl.js";
import { MAX_IMAGES, NO_IMAGES, watchForImages } from "./intake.js";
import { csvOf, download, jsonOf, tableOf } from "./results.js";

const AT_ONCE = 2; // so that a folder of images does not delay other users
const ANNOUNCE_MS = 700;

const at = (id) => document.getElementById(id);
const maxBytes = Number(document.body.dataset.maxBodyBytes);
const maxTopK = Number(at("top-k").max); // of the server, if the model's number of labels is unknown
const keyHint = at("key-hint").textContent;

let models = [];
let key = ""; // in memory only
let keyNeeded = false;
let topK = Number(at("top-k").value); // as requested; a model with fewer labels returns all
// {file, source, card, state: "waiting" | "running" | "done" | "failed", result, controller}; the result has
// either labels or an error, and stays until the next one.
let jobs = [];
let news = []; // not yet announced to screen readers
let newsTimer;

// ---- adding and removing images

function take(images) {
  advise(images.length ? "" : NO_IMAGES);
  const room = MAX_IMAGES - jobs.length;
  if (images.length > room) {
    advise(`The page holds up to ${MAX_IMAGES.toLocaleString("en")} images; the others were not added.`);
  }
  const added = images.slice(0, Math.max(0, room)).map(({ file, source }) => {
    const job = { file, source, state: "waiting" };
    const onExplain = (label, signal) => explain({ file, model: at("model").value, label, key, signal });
    job.card = new Card(file, { onRemove: () => remove(job), onRetry: () => again(job), onExplain });
    return job;
  });
  jobs.push(...added);
  at("results").append(...added.map((job) => job.card.root));
  refresh();
  work();
}

function remove(job) {
  const index = jobs.indexOf(job);
  jobs.splice(index, 1);
  job.controller?.abort();
  job.card.remove();
  // Move the focus to the next card; otherwise the keyboard would start from the top.
  const neighbour = jobs[Math.min(index, jobs.length - 1)];
  (neighbour?.card.root.querySelector(".remove") ?? at("files")).focus();
  refresh();
  work();
}

function clear() {
  for (const job of jobs) {
    job.controller?.abort();
    job.card.remove();
  }
  jobs = [];
  refresh();
  say("All images removed.");
  at("files").focus();
}

function again(...some) {
  for (const job of some) {
    job.controller?.abort();
    job.state = "waiting";
    job.card.wait();
  }
  refresh();
  work();
}

function isWorthRetrying(job) {
  return job.state === "failed" && job.canRetry;
}

function retryFailed() {
  again(...jobs.filter(isWorthRetrying));
}

// ---- sending images

function work() {
  if (!at("model").value || (keyNeeded && !key)) return;
  const running = jobs.filter((job) => job.state === "running").length;
  jobs.filter((job) => job.state === "waiting").slice(0, AT_ONCE - running).forEach(run);
}

async function run(job) {
  const controller = new AbortController();
  const keyUsed = key;
  job.controller = controller;
  job.state = "running";
  const model = chosenModel();
  const ask = (withConcepts) => classify({
    file: job.file,
    path: pathOf(model.name, askedTopK(), withConcepts),
    maxBytes,
    key: keyUsed,
    signal: controller.signal,
    onTry: () => job.card.run(),
    onPause: (s) => job.card.wait(`The server is busy. Trying again in ${Math.ceil(s)} s.`),
  });
  try {
    // A model that isn't loaded yet may have concepts. The server refuses them if its scores are no probabilities.
    const { labels, concepts } = await ask(model.concepts !== 0).catch((error) => {
      if (model.concepts !== null || error.kind !== "OptionError") throw error;
      return ask(false);
    });
    if (controller.signal.aborted) return;
    job.state = "done";
    job.result = { labels };
    tell(`${job.card.name}: ${job.card.finish(labels, concepts)}`);
  } catch (error) {
    if (controller.signal.aborted) return; // removed or retried
    if (error.status === 401) {
      job.state = "waiting";
      job.card.wait("Waiting for the key");
      askForKey(keyUsed);
    } else {
      job.state = "failed";
      job.result = { error: { kind: error.kind ?? error.name, message: error.message } };
      job.canRetry = error.canRetry ?? true;
      job.card.fail(error.message, { requestId: error.requestId, canRetry: job.canRetry });
      tell(`${job.card.name} failed: ${error.message}`);
    }
  }
  refresh();
  work();
  if (areFinished()) loadModels();
}

// ---- settings

async function loadModels() {
  const keyUsed = key;
  try {
    models = await fetchModels(keyUsed);
  } catch (error) {
    if (error.status === 401) askForKey(keyUsed);
    else showTrouble(error.message);
    return false;
  }
  hide(at("trouble"));
  if (!at("key-form").hidden) {
    hide(at("key-form"), at("files"));
    say("The key was accepted.");
  }
  const select = at("model");
  const chosen = select.value;
  const shown = Array.from(select.options, ({ value }) => value);
  if (JSON.stringify(shown) !== JSON.stringify(models.map(({ name }) => name))) {
    select.replaceChildren(...models.map(({ name }) => new Option(name, name, false, name === chosen)));
    select.disabled = models.length === 0;
  }
  refresh();
  work();
  return true;
}

/** Connects to a server that was unreachable and repeats what failed meanwhile. */
async function comeBack() {
  hide(at("trouble"));
  if (await loadModels()) retryFailed();
}

function chooseModel() {
  explainTopK(""); // remove the message, since the next model may have that many labels
  again(...jobs);
}

function readTopK() {
  const input = at("top-k");
  const valid = /^\d+$/.test(input.value) && input.checkValidity(); // 1e30 is a number for browsers
  explainTopK(valid ? "" : `A whole number from 1 to ${Number(input.max).toLocaleString("en")}.`);
  if (!valid || Number(input.value) === askedTopK()) return;
  topK = Number(input.value);
  again(...jobs);
}

function explainTopK(what) {
  at("top-k").setAttribute("aria-invalid", String(what !== ""));
  at("top-k-hint").textContent = what;
  if (what) say(what);
}

function chosenModel() {
  return models.find(({ name }) => name === at("model").value);
}

function askedTopK() {
  return Math.min(topK, Number(at("top-k").max));
}

/** Shows the field for the key; `refused` is the key that the server rejected, if one was sent. */
function askForKey(refused) {
  if (refused !== key) return; // another one was entered meanwhile
  if (refused) refuseKey("The server rejected this key.");
  key = "";
  keyNeeded = true;
  const wasHidden = at("key-form").hidden;
  at("key-form").hidden = false;
  if (wasHidden || at("key-form").contains(document.activeElement)) at("key").focus();
  refresh();
}

function refuseKey(why) {
  at("key").setAttribute("aria-invalid", "true");
  at("key-hint").textContent = why;
}

function useKey(event) {
  event.preventDefault();
  at("key").removeAttribute("aria-invalid");
  at("key-hint").textContent = keyHint; // so that the same error is announced again
  const given = at("key").value.trim();
  at("key").value = "";
  if (/^[\x20-\x7e]+$/.test(given)) {
    key = given;
    loadModels();
  } else {
    refuseKey("A key may only contain ASCII characters.");
    at("key").focus();
  }
}

// ---- display

function refresh() {
  const model = chosenModel();
  at("model-hint").textContent = hintOf(model);
  showTopK(model);
  at("curl").textContent = curlLine({
    fileName: jobs.findLast(({ result }) => result?.labels)?.card.name ?? "image.jpg",
    path: pathOf(model?.name ?? "MODEL", askedTopK(), model?.concepts > 0),
    withKey: keyNeeded,
  });
  at("curl-hint").textContent = keyNeeded ? "Set PICTAG_API_KEY to the key first; the command reads it." : "";
  document.body.classList.toggle("filled", jobs.length > 0);
  at("results-section").hidden = jobs.length === 0;
  if (jobs.some(isWorthRetrying)) at("retry-failed").hidden = false;
  else hide(at("retry-failed"));
  at("progress").textContent = summary();
  for (const id of ["copy-results", "download-csv", "download-json"]) at(id).disabled = !areFinished();
}

function showTopK(model) {
  const input = at("top-k");
  input.max = model?.labels ?? maxTopK;
  const isBeingTyped = document.activeElement === input || input.getAttribute("aria-invalid") === "true";
  if (!isBeingTyped) input.value = askedTopK();
}

function hintOf(model) {
  if (!model) return "";
  if (model.state === "failed") return "Could not be loaded. The next image tries again.";
  if (model.state === "loading") return "Loading…";
  if (model.state === "unloaded") return "Not loaded yet. The first image takes longer.";
  return model.labels ? `${model.labels.toLocaleString("en")} labels.` : "";
}

function areFinished() {
  return jobs.every(({ state }) => state === "done" || state === "failed");
}

function summary() {
  const count = (state) => jobs.filter((job) => job.state === state).length;
  const failed = count("failed");
  const done = count("done") + failed;
  return `${done} of ${jobs.length} done${failed ? `, ${failed} failed` : ""}`;
}

/** Says what the user can do instead; with "" the last such message disappears. */
function advise(text) {
  at("advice").textContent = text;
  at("advice").hidden = text === "";
  if (text) at("drop").scrollIntoView({ block: "nearest" });
}

function showTrouble(text) {
  at("trouble-text").textContent = text;
  at("trouble").hidden = false;
}

/** Hides an element and moves the focus on if it was there; otherwise the keyboard would start from the top. */
function hide(part, next = jobs.length ? at("results-title") : at("files")) {
  const wasThere = part.contains(document.activeElement);
  part.hidden = true;
  if (wasThere) next.focus();
}

/** Announces results to screen readers: one image by its best label, several as a count. */
function tell(text) {
  news.push(text);
  newsTimer ??= setTimeout(() => {
    newsTimer = undefined;
    say(news.length === 1 ? news[0] : `${summary()}.`);
    news = [];
  }, ANNOUNCE_MS);
}

function say(text) {
  at("announcer").textContent = text;
}

// ---- copying and downloading

async function copy(button, text) {
  const copied = await copyText(text);
  button.textContent = copied ? "Copied" : "Not copied";
  say(copied ? "Copied." : "The browser did not allow copying.");
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function rows() {
  return jobs.map(({ source, result }) => ({ source, ...result }));
}

function save(ending, type, text) {
  download(`pictag-${at("model").value.replaceAll("/", "-")}.${ending}`, type, text);
}

// ---- start

watchForImages({ input: at("files"), zone: at("drop"), take, advise });
at("model").addEventListener("change", chooseModel);
at("top-k").addEventListener("change", readTopK);
at("clear").addEventListener("click", clear);
at("trouble-retry").addEventListener("click", comeBack);
at("retry-failed").addEventListener("click", retryFailed);
at("copy").addEventListener("click", () => copy(at("copy"), at("curl").textContent));
at("copy-results").addEventListener("click", () => copy(at("copy-results"), tableOf(rows())));
at("download-csv").addEventListener("click", () => save("csv", "text/csv", csvOf(rows())));
at("download-json").addEventListener("click", () => save("json", "application/json", jsonOf(rows())));
at("key-form").addEventListener("submit", useKey);
refresh();
loadModels();
