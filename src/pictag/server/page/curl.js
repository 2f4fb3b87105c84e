// The curl command that does the same as the page.

// Control characters, and characters that change the direction of text.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

/** A curl command; it reads the key from an environment variable. */
export function curlLine({ fileName, path, withKey }) {
  const url = new URL(path, document.baseURI).href;
  const name = fileName.startsWith("-") ? `./${fileName}` : fileName; // `@-` would be standard input
  const key = withKey ? ' -H "Authorization: Bearer $PICTAG_API_KEY"' : "";
  return `curl --fail-with-body${key} --data-binary ${quote(`@${name}`)} ${quote(url)}`;
}

/** One quoted word for a POSIX shell; with invisible characters, for bash, zsh and ksh. */
export function quote(text) {
  if (!UNSEEN.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = Array.from(text, (character) => {
    if (character === "'" || character === "\\") return `\\${character}`;
    return UNSEEN.test(character) ? bytesOf(character) : character;
  });
  return `$'${escaped.join("")}'`;
}

function bytesOf(character) {
  const bytes = new TextEncoder().encode(character);
  return Array.from(bytes, (byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}
