/** Lists the files of a drop or of a file picker, with their paths below the dropped folder. */

/** @typedef {import('./types.mjs').DroppedFile} DroppedFile */

/** A drop of more files is a wrong folder, such as the home folder. */
export const MOST_FILES = 20_000;

/** @type {(file: File, path: string) => DroppedFile & { file: File }} */
function dropped(file, path) {
  return { path, size: file.size, file, bytes: async () => new Uint8Array(await file.arrayBuffer()) };
}

/** @param {Iterable<File>} files */
export function filesOfPicker(files) {
  return [...files].map((file) => dropped(file, file.webkitRelativePath || file.name));
}

/**
 * The files of a drop, in the order of their paths.
 *
 * Must be called in the handler of the event, because the browser takes the entries away when it returns.
 * @param {DataTransfer} transfer
 * @returns {Promise<(DroppedFile & { file: File })[]>}
 */
export async function filesOfDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (!entries.length) return filesOfPicker(transfer.files);
  /** @type {(DroppedFile & { file: File })[]} */
  const found = [];
  for (const entry of entries) await collect(entry, entry.name, found);
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** @type {(entry: FileSystemEntry, path: string, found: (DroppedFile & { file: File })[]) => Promise<void>} */
async function collect(entry, path, found) {
  if (found.length >= MOST_FILES) return;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => {
      /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject);
    });
    found.push(dropped(file, path));
    return;
  }
  for (const child of await children(/** @type {FileSystemDirectoryEntry} */ (entry))) {
    await collect(child, `${path}/${child.name}`, found);
  }
}

/** @param {FileSystemDirectoryEntry} folder */
async function children(folder) {
  const reader = folder.createReader();
  /** @type {FileSystemEntry[]} */
  const all = [];
  for (;;) {
    // A call returns a part of the entries: a hundred in Chromium.
    const part = /** @type {FileSystemEntry[]} */ (await new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    }));
    if (!part.length) return all;
    all.push(...part);
  }
}
