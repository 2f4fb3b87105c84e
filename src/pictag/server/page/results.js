// The results as text. A row is {source, labels: [{label, score}, …]} or {source, error: {kind, message}},
// as in the result files of `pictag classify`.

const COLUMNS = ["source", "rank", "label", "score", "error_kind", "error_message"];
const FORMULA = /^\s*[=+\-@\t\r＝＋－＠]/; // what spreadsheets run, with the wide characters that they also take

/** A file for spreadsheets; they need the mark at the beginning to read it as UTF-8. */
export function csvOf(rows) {
  return `\ufeff${linesOf(rows, ",", "\r\n")}`;
}

/** The same with tabs, which spreadsheets paste into columns. */
export function tableOf(rows) {
  return linesOf(rows, "\t", "\n");
}

/** A JSON array with one row on each line. */
export function jsonOf(rows) {
  return `[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]\n`;
}

function linesOf(rows, separator, end) {
  const lines = [COLUMNS, ...rows.flatMap(recordsOf)];
  return lines.map((line) => line.map((value) => fieldOf(value, separator)).join(separator) + end).join("");
}

/** One line per label; a single one if the image failed or has no labels. */
function recordsOf({ source, labels = [], error }) {
  if (error) return [[source, "", "", "", error.kind, error.message]];
  if (labels.length === 0) return [[source, "", "", "", "", ""]];
  return labels.map(({ label, score }, index) => [source, index + 1, label, score, "", ""]);
}

function fieldOf(value, separator) {
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value; // so that a spreadsheet shows it as text
  return /["\r\n]/.test(text) || text.includes(separator) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Gives the text to the browser as a file to save. */
export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // some browsers read it later
}
