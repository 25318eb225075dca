// Each format, in each engine: the trace is there, and the numbers are those of the command line.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { classified, DATA, difference, FOLDER, found, give, host, browser, result, ROOT, served, text, written } from "./support.mjs";

const open = browser(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]);
const data = (...names) => names.map((name) => join(DATA, name));

/** An HL7 aECG of ten seconds: the seed of the fuzz tests, its samples repeated. */
function longXml() {
  const xml = text(join(ROOT, "fuzz/seeds/aecg_xml/example")).replace(/<digits>(.*?)<\/digits>/gs, (_, digits) => `<digits>${Array(50).fill(digits).join(" ")}</digits>`);
  const path = join(FOLDER, "long.xml");
  writeFileSync(path, xml);
  return path;
}

/** The cases: a name, the files, and options for the command line where the page asks for something. */
function cases() {
  const [arrays, dicom, edf] = ["write_arrays.py", "write_dicom.py", "write_edf.py"].map(written);
  const all = [
    ["WFDB, format 16", data("format16.hea", "format16.dat")],
    ["WFDB, format 212", data("format212.hea", "format212.dat")],
    ["WFDB, FLAC", data("flac.hea", "flac.dat")],
    ["WFDB, two signal files", data("permuted.hea", "permuted_limb.dat", "permuted_chest.dat")],
    ["NumPy", data("samples_first_f64_big_endian.npy")],
    ["ISHNE", data("holter.ecg")],
    ["SCP-ECG", data("huffman.scp")],
    ["table", data("table.csv")],
    ["HL7 aECG", [longXml()]],
  ];
  const add = (name, folder, file) => folder && all.push([name, [join(folder, file)]]);
  add("DICOM", dicom, "explicit.dcm");
  add("DICOM, deflated", dicom, "deflated.dcm");
  add("EDF", edf, "plus.edf");
  add("BDF", edf, "plus.bdf");
  add("MATLAB 5", arrays, "stated.mat");
  add("HDF5", arrays, "stated.h5");
  add("NumPy archive", arrays, "stated.npz");
  add("gzip", arrays, "array.npy.gz");
  for (const file of found(process.env.ECGPU_FORMATS ?? "", /\.(dcm|scp|xml)$/)) all.push([`sample ${file.split("/").pop()}`, [file]]);
  return all;
}

/** Gives the files of every case to a page and compares its numbers with the command line's. */
async function everyFormat(page, t) {
  for (const [name, files] of cases()) {
    await t.test(name, async () => {
      await give(page, files);
      const problem = await page.$eval("#result", (it) => it.querySelector(".problem")?.textContent);
      let expected;
      try {
        expected = classified(files);
      } catch {
        return assert.ok(problem, "the command line refuses it, and the page does not");
      }
      assert.equal(problem, undefined);
      const points = await page.$$eval("#paper .traces path", (all) => all.map((it) => it.getAttribute("d").split("L").length));
      assert.equal(points.length, 13);
      assert.ok(points.filter((count) => count > 50).length >= 12, `points of the traces: ${points}`);
      const off = await difference(page, expected);
      assert.ok(off < 1e-4, `logits differ by ${off}`);
      assert.equal(await page.$$eval(".warnings li", (all) => all.length), expected.warnings.length);
      const labels = await page.$$eval(".class.labelled", (all) => all.map((it) => it.dataset.class));
      assert.deepEqual(labels, expected.labels);
    });
  }
  assert.deepEqual(page.faults, []);
}

test("every format in WebAssembly gives the numbers of the command line", async (t) => {
  await everyFormat(await result(await open(await host())), t);
});

test("every format on the server gives the numbers of the command line", async (t) => {
  await everyFormat(await result(await open(`${await served()}?engine=server`)), t);
});

test("WebGPU gives the numbers of the command line, or the page says why it cannot", async () => {
  const page = await result(await open(await host()));
  await give(page, data("format16.hea", "format16.dat"));
  const input = page.locator("#engine input[value=webgpu]");
  if (await input.isEnabled()) await input.click({ force: true });
  // The answer of WebAssembly stands until WebGPU is open.
  await page.waitForFunction(() => {
    const computed = document.querySelector("#result .classes") && document.querySelector("#comparison").textContent.includes("WebGPU adapter");
    return computed || document.querySelector("#result .problem, #engine .missing input[value=webgpu]");
  }, undefined, { timeout: 120_000 });
  if (await page.locator("#engine .missing input[value=webgpu]").count()) {
    assert.match(await page.locator("#engine label", { hasText: "WebGPU" }).getAttribute("title"), /\w/);
    return;
  }
  assert.ok((await difference(page, classified(data("format16.hea")))) < 1e-4);
});

test("a recording that is dropped is read, and so is pasted text", async () => {
  const page = await result(await open(await host()));
  const [hea, dat] = data("format212.hea", "format212.dat").map((path) => [path.split("/").pop(), readFileSync(path).toString("base64")]);
  await page.evaluate((files) => {
    const transfer = new DataTransfer();
    const bytes = (text) => Uint8Array.from(atob(text), (it) => it.charCodeAt(0));
    files.forEach(([name, content]) => transfer.items.add(new File([bytes(content)], name)));
    for (const type of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }, [dat, hea]);
  await page.waitForFunction(() => document.querySelector("#record").textContent === "format212" && document.querySelector("#result .classes"));
  assert.ok((await difference(page, classified(data("format212.hea")))) < 1e-4);
  await page.evaluate((content) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", content);
    document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
  }, text(data("table.csv")[0]));
  await page.waitForFunction(() => document.querySelector("#record").textContent === "pasted" && document.querySelector("#result .classes"));
  assert.ok((await difference(page, classified(data("table.csv")))) < 1e-4);
});
