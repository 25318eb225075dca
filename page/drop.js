// Files: dropped, picked, or pasted. Files that belong together are grouped.

import { announce, byId } from "./dom.js";

/** The most files that are listed: a longer list could not be searched by eye. */
const MOST = 2000;

/** Calls `opened` with groups of files, `[{ name, files }]`, whenever a user gives some. */
export function takeFiles(opened) {
  const take = async (files) => {
    const shown = files.filter((file) => !file.name.startsWith("."));
    if (shown.length > MOST) announce(`Only the first ${MOST} files are listed.`);
    if (shown.length) opened(await grouped(shown.slice(0, MOST)));
  };
  for (const [button, input] of [["pick", "files"], ["pick-folder", "folder"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", ({ target }) => {
      const files = [...target.files];
      target.value = "";
      take(files);
    });
  }
  addEventListener("paste", ({ clipboardData, target }) => {
    if (target.closest?.("input, textarea")) return;
    const text = clipboardData.getData("text/plain");
    const files = [...clipboardData.files];
    take(files.length || !text.trim() ? files : [new File([text], "pasted.csv")]);
  });
  takeDrops(take);
}

function takeDrops(take) {
  // Elements are entered before others are left: the count says whether the pointer is over the page.
  let depth = 0;
  const over = (change) => {
    depth = Math.max(0, depth + change);
    document.documentElement.classList.toggle("dropping", depth > 0);
  };
  addEventListener("dragenter", () => over(1));
  addEventListener("dragleave", () => over(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    over(-depth);
    // Entries are gone after the event: they are taken before anything is awaited.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    take(entries.some((entry) => entry.isDirectory) ? (await Promise.all(entries.map(inside))).flat() : files);
  });
}

/** The paths of dropped files, which the files themselves do not state. */
const dropped = new WeakMap();

/** Returns the folder of a file, ending with `/`; empty for a file that came alone. */
function folderOf(file) {
  const path = dropped.get(file) ?? file.webkitRelativePath ?? "";
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** Returns the files of a dropped file or folder. */
async function inside(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    dropped.set(file, entry.fullPath);
    return [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0 || found.length > MOST) return found;
    found.push(...(await Promise.all(some.map(inside))).flat());
  }
}

/** A WFDB header is short: a longer file of that name is another thing. */
const LONGEST_HEADER = 1 << 20;

/**
 * Groups files that belong together: each WFDB header with the files that it names, every other file alone. A header that
 * another one names, as those of segments are, is no recording of its own.
 */
export async function grouped(files) {
  // Files of one name in different folders are different files.
  const byPath = new Map(files.map((file) => [folderOf(file) + file.name, file]));
  const headers = files.filter((file) => file.name.toLowerCase().endsWith(".hea") && file.size < LONGEST_HEADER);
  const named = new Map();
  for (const header of headers) {
    const lines = (await header.text()).split(/\r?\n/).filter((line) => line.trim() && !line.startsWith("#"));
    const words = lines.slice(1).map((line) => line.trim().split(/\s+/)[0]);
    const beside = (name) => byPath.get(folderOf(header) + name);
    named.set(header, [...new Set(words.flatMap((word) => [beside(word), beside(`${word}.hea`)]).filter(Boolean))]);
  }
  const reached = (header, into = new Set([header])) => {
    for (const file of named.get(header) ?? []) {
      if (!into.has(file)) reached(file, into.add(file));
    }
    return into;
  };
  const parts = new Set(headers.flatMap((header) => [...reached(header)].slice(1)));
  const alone = files.filter((file) => !parts.has(file));
  return alone.map((file) => ({ name: folderOf(file) + file.name, files: [...reached(file)] }));
}
