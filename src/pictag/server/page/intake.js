// Choosing, dropping (also folders) and pasting images. Each is {file, source}; the source of a file in a
// folder is its path from there.

export const MAX_IMAGES = 2000;
export const NO_IMAGES = "No images found. Drop, paste or choose an image file.";

const ENDINGS = /\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|heic|heif)$/i;
const byName = new Intl.Collator("en", { numeric: true });

/** Calls `take(images)` with the images that the user adds, or `advise(text)` if they added something else. */
export function watchForImages({ input, zone, take, advise }) {
  input.addEventListener("change", () => {
    if (input.files.length) take([...input.files].map(asImage));
    input.value = ""; // the same file can be chosen again
  });

  // The whole window accepts a drop; otherwise a near miss would make the browser open the image or the URL.
  let depth = 0;
  const show = (over) => zone.classList.toggle("over", over);
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    depth += 1;
    show(true);
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    depth = Math.max(0, depth - 1);
    show(depth > 0);
  });
  addEventListener("dragover", (event) => {
    if (isForField(event, event.dataTransfer)) return;
    event.preventDefault();
    if (hasFiles(event.dataTransfer)) event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", async (event) => {
    depth = 0;
    show(false);
    if (isForField(event, event.dataTransfer)) return;
    event.preventDefault();
    if (hasFiles(event.dataTransfer)) take(await unpack(event.dataTransfer));
    else advise(adviceOn(event.dataTransfer));
  });

  addEventListener("paste", (event) => {
    if (isForField(event, event.clipboardData)) return;
    event.preventDefault();
    const files = [...event.clipboardData.files];
    if (files.length) take(files.map(asImage));
    else advise(adviceOn(event.clipboardData));
  });
}

function asImage(file) {
  return { file, source: file.name };
}

function hasFiles(transfer) {
  return transfer.types.includes("Files");
}

/** Whether it is text for the field that it was dropped on or pasted into. */
function isForField({ target }, transfer) {
  return !hasFiles(transfer) && target instanceof HTMLInputElement && target.type !== "file";
}

/** What to do instead of dropping or pasting this. */
function adviceOn(transfer) {
  const text = (transfer.getData("text/uri-list") || transfer.getData("text/plain")).trim();
  if (/^(\w+:\/\/|data:|blob:|www\.)/i.test(text)) {
    return "This is a URL, and the page only takes images. Save the image, then drop or choose its file.";
  }
  if (text) return "This is text, not an image. Drop, paste or choose an image file.";
  return NO_IMAGES;
}

/** The dropped files, and files in dropped folders that have the name of an image. */
async function unpack(transfer) {
  // The list is emptied after the event, so everything is read before the first await.
  const found = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const images = [];
  for (const { entry, file } of found) {
    if (entry?.isDirectory) await walk(entry, images);
    else if (file) images.push(asImage(file));
  }
  return images;
}

async function walk(folder, images) {
  const entries = [];
  const reader = folder.createReader();
  for (;;) {
    const some = await new Promise((resolve) => { reader.readEntries(resolve, () => resolve([])); });
    if (some.length === 0) break;
    entries.push(...some);
  }
  entries.sort((a, b) => byName.compare(a.name, b.name));
  for (const entry of entries) {
    if (images.length > MAX_IMAGES) return;
    if (entry.isDirectory) {
      await walk(entry, images);
    } else if (ENDINGS.test(entry.name)) {
      const file = await new Promise((resolve) => { entry.file(resolve, () => resolve(null)); });
      if (file) images.push({ file, source: entry.fullPath.slice(1) });
    }
  }
}
