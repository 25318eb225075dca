// What the tests share. PACKAGE is the folder of the package, ECGPU the command line beside which it is tested.

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

export const root = resolve(fileURLToPath(import.meta.url), "../../../..");
export const folder = resolve(process.env.PACKAGE ?? join(root, "bindings/web/dist"));
const ecgpu = resolve(process.env.ECGPU ?? join(root, "target/release/ecgpu"));

/** Imports a file of the package. */
export const load = (name = "ecgpu.js") => import(pathToFileURL(join(folder, name)));

/** Runs the command line and returns the JSON objects that it prints, and its errors. */
export function commandLine(options, cwd) {
  const { stdout, stderr, error } = spawnSync(ecgpu, options, { cwd, encoding: "utf8" });
  if (error) throw error;
  const lines = (text) => text.split("\n").filter(Boolean);
  const errors = lines(stderr).filter((line) => line.startsWith("error: "));
  return { objects: lines(stdout).map((line) => JSON.parse(line)), errors };
}

/** Calls a function with a folder that is removed afterwards. */
export async function inFolder(work) {
  const made = mkdtempSync(join(tmpdir(), "ecgpu-"));
  try {
    return await work(made);
  } finally {
    rmSync(made, { recursive: true });
  }
}

/** A recording of the kind that is asked for, written by the command line: its files. */
export function synthesized(into, name, options = []) {
  execFileSync(ecgpu, ["synth", "--out", join(into, name), ...options]);
  return filesOf(into);
}

/** The files of a folder as `read` takes them. */
export const filesOf = (path) => readdirSync(path).map((name) => ({ name, bytes: readFileSync(join(path, name)) }));

/**
 * Files of every format: those of tests/data, the seeds of the fuzz tests, compressed ones, and the samples of vendors that
 * ECGPU_FORMATS names. Returns their names below `into`; a WFDB header has its signal files beside it.
 */
export function everyFormat(into) {
  const data = join(root, "tests/data");
  for (const name of readdirSync(data)) if (name.includes(".")) cpSync(join(data, name), join(into, name));
  const seeds = join(root, "fuzz/seeds");
  for (const target of readdirSync(seeds).filter((name) => name !== "hea")) {
    const extension = target.replace(/^(aecg|muse|philips|ishne)_/, "").replace("_", ".");
    for (const name of readdirSync(join(seeds, target))) {
      cpSync(join(seeds, target, name), join(into, `${target}-${name.replace(".", "-")}.${extension}`));
    }
  }
  writeFileSync(join(into, "table-compressed.csv.gz"), gzipSync(readFileSync(join(data, "table.csv"))));
  const vendors = process.env.ECGPU_FORMATS;
  if (vendors) for (const name of readdirSync(vendors)) cpSync(join(vendors, name), join(into, name));
  return readdirSync(into).filter((name) => !/\.(dat|md|json)$/.test(name));
}

/** The files of a folder that belong to one of them, it first: a WFDB header and signal files have each other. */
export function partsOf(path, name) {
  const files = filesOf(path);
  const header = name.replace(/\.\w+$/, ".hea");
  const isWfdb = /\.(hea|dat|mat)$/.test(name) && files.some((file) => file.name === header);
  const belongs = (file) => file.name === name || (isWfdb && (file.name === header || /\.(dat|mat)$/.test(file.name)));
  return files.filter(belongs).sort((a, b) => Number(b.name === name) - Number(a.name === name));
}

/** The largest difference of two lists of numbers. */
export const difference = (a, b) => Math.max(...a.map((value, at) => Math.abs(value - b[at])));
