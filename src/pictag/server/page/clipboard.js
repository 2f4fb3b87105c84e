// Copying text, also on pages without https, which don't have the Clipboard API.

/** Whether the text was copied. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByEvent(text);
  }
}

function copyByEvent(text) {
  let copied = false;
  const put = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
    copied = true;
  };
  addEventListener("copy", put);
  document.execCommand("copy");
  removeEventListener("copy", put);
  return copied;
}
