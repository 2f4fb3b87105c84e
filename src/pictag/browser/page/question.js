// What is asked: the text of the search box and the choices beside it, as in the page's address.

export const FACETS = ["label", "date", "type", "is"];

/** An empty question; `facets` has, for each key, a map from a value to 1 (included) or -1 (excluded). */
export function emptyQuestion() {
  return {
    text: "",
    facets: Object.fromEntries(FACETS.map((key) => [key, new Map()])),
    min: "",
    like: "",
    hidden: false,
    sort: "auto",
  };
}

export function readQuestion(parameters) {
  const question = emptyQuestion();
  question.text = parameters.get("text") ?? "";
  for (const key of FACETS) {
    for (const value of parameters.getAll(key)) question.facets[key].set(value, 1);
    for (const value of parameters.getAll(`-${key}`)) question.facets[key].set(value, -1);
  }
  question.min = parameters.get("min") ?? "";
  question.like = parameters.get("like") ?? "";
  question.hidden = parameters.get("hidden") === "1";
  question.sort = parameters.get("sort") ?? "auto";
  return question;
}

export function writeQuestion(question) {
  const parameters = new URLSearchParams();
  if (question.text.trim()) parameters.set("text", question.text);
  for (const key of FACETS) {
    for (const [value, state] of question.facets[key]) parameters.append(state > 0 ? key : `-${key}`, value);
  }
  if (question.min) parameters.set("min", question.min);
  if (question.like) parameters.set("like", question.like);
  if (question.hidden) parameters.set("hidden", "1");
  if (question.sort !== "auto") parameters.set("sort", question.sort);
  return parameters;
}

/** Off, included, excluded, and off again. */
export function cycle(question, key, value) {
  const values = question.facets[key];
  const state = values.get(value);
  if (state === undefined) values.set(value, 1);
  else if (state > 0) values.set(value, -1);
  else values.delete(value);
}

/** Whether anything narrows the library down. */
export function isNarrowed(question) {
  return Boolean(
    question.text.trim() || question.min || question.like || FACETS.some((key) => question.facets[key].size),
  );
}
