// Choosing, dropping (also folders) and pasting images.

export const MAX_IMAGES = 2000;

const ENDINGS = /\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|heic|heif)$/i;
const byName = new Intl.Collator("en", { numeric: true });

/** Calls `take(files)` with the images that the user adds. */
export function watchForImages({ input, zone, take }) {
  input.addEventListener("change", () => {
    if (input.files.length) take([...input.files]);
    input.value = ""; // the same file can be chosen again
  });

  // The whole window accepts a drop; otherwise a near miss would make the browser open the image.
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
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", async (event) => {
    depth = 0;
    show(false);
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    take(await unpack(event.dataTransfer));
  });

  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return; // text, for the focused field
    event.preventDefault();
    take(files);
  });
}

function hasFiles(transfer) {
  return transfer?.types.includes("Files") ?? false;
}

/** The dropped files, and files in dropped folders that have the name of an image. */
async function unpack(transfer) {
  // The list is emptied after the event, so everything is read before the first await.
  const found = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const files = [];
  for (const { entry, file } of found) {
    if (entry?.isDirectory) await walk(entry, files);
    else if (file) files.push(file);
  }
  return files;
}

async function walk(folder, files) {
  const entries = [];
  const reader = folder.createReader();
  for (;;) {
    const some = await new Promise((resolve) => { reader.readEntries(resolve, () => resolve([])); });
    if (some.length === 0) break;
    entries.push(...some);
  }
  entries.sort((a, b) => byName.compare(a.name, b.name));
  for (const entry of entries) {
    if (files.length > MAX_IMAGES) return;
    if (entry.isDirectory) {
      await walk(entry, files);
    } else if (ENDINGS.test(entry.name)) {
      const file = await new Promise((resolve) => { entry.file(resolve, () => resolve(null)); });
      if (file) files.push(file);
    }
  }
}
