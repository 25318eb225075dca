// Files that cannot be read, or that lack something.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { browser, classified, DATA, difference, FOLDER, give, host, result } from "./support.mjs";

const open = browser();
const data = (name) => join(DATA, name);
const file = (name, content) => ({ name, mimeType: "application/octet-stream", buffer: Buffer.from(content) });

test("an unreadable file shows a cause and a remedy, and the next file is read", async () => {
  const page = await result(await open(await host()));
  const half = readFileSync(data("format16.dat")).subarray(0, 5000);
  const cases = [
    [[file("notes.txt", "hello")], /text without/],
    [[file("empty.npy", "")], /empty/],
    [[file("broken.npy", readFileSync(data("expected.npy")).subarray(0, 300))], /./],
    [[file("broken.dcm", Buffer.concat([Buffer.alloc(128), Buffer.from("DICM"), Buffer.alloc(40, 7)]))], /./],
    [[file("format16.hea", readFileSync(data("format16.hea")))], /format16\.dat/],
    [[file("format16.hea", readFileSync(data("format16.hea"))), file("format16.dat", half)], /format16\.dat/],
    [[file("format16.dat", half)], /./],
    [[file("picture.png", Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]))], /./],
  ];
  for (const [files, cause] of cases) {
    await give(page, files);
    const shown = await page.$$eval(".problem p", (all) => all.map((it) => it.textContent));
    assert.equal(shown.length >= 2, true, `${files[0].name}: ${shown}`);
    assert.match(shown[0], cause, files[0].name);
    assert.equal(await page.locator(".problem[role=alert]").count(), 1);
  }
  await give(page, [data("table.csv")]);
  assert.ok((await difference(page, classified([data("table.csv")]))) < 1e-4);
  assert.deepEqual(page.faults, []);
});

test("what a file lacks is asked for, one thing after the other", async () => {
  const page = await result(await open(await host()));
  // 12 leads of 3 s at 400 Hz in microvolts, without unit and rate.
  const rows = Array.from({ length: 1200 }, (_, at) => Array.from({ length: 12 }, (_, lead) => Math.round(500 * Math.sin((at / 400) * 6.28 * 2 + lead))).join(","));
  const path = join(FOLDER, "lacking.csv");
  writeFileSync(path, `I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6\n${rows.join("\n")}\n`);
  await give(page, [path]);
  await page.selectOption("#ask-unit", "uV");
  await page.keyboard.press("Enter");
  await page.click("text=Read again");
  await page.fill("#ask-samplingRateHz", "400");
  await page.keyboard.press("Enter");
  await result(page);
  assert.match(await page.textContent("#about"), /400 Hz · 3\.0/);
  assert.ok((await difference(page, classified([path], "--unit", "uV", "--sampling-rate", "400"))) < 1e-4);
});

test("several recordings and several files make lists to choose from", async () => {
  const page = await result(await open(await host()));
  await give(page, [data("batch_fortran.npy")]);
  await page.fill("#ask-samplingRateHz", "100");
  await page.keyboard.press("Enter");
  await result(page);
  const names = await page.$$eval("#record-list option", (all) => all.map((it) => it.textContent));
  assert.ok(names.length > 1, `${names}`);
  const first = await page.textContent("[data-class=MI] .probability");
  await page.selectOption("#record-list", "1");
  await page.waitForFunction((before) => document.querySelector("[data-class=MI] .probability")?.textContent !== before, first);
  await give(page, ["format16.hea", "format16.dat", "table.csv", "holter.ecg"].map(data));
  const files = await page.$$eval("#group option", (all) => all.map((it) => it.textContent));
  assert.deepEqual(files.sort(), ["format16.hea", "holter.ecg", "table.csv"]);
  await page.selectOption("#group", { label: "table.csv" });
  await page.waitForFunction(() => document.querySelector("#record").textContent === "table" && document.querySelector("#result .classes"));
  assert.ok((await difference(page, classified([data("table.csv")]))) < 1e-4);
});

test("an hour does not freeze the page, and its sheet can be moved", async () => {
  const page = await result(await open(await host()));
  const lead = (scale) => Float32Array.from({ length: 3600 * 100 }, (_, at) => scale * Math.exp(-(((at % 80) - 30) ** 2) / 8) + 0.02 * Math.cos(at / 50));
  const samples = Buffer.concat(Array.from({ length: 12 }, (_, at) => Buffer.from(lead(0.5 + at / 20).buffer)));
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (12, 360000), }`;
  const padded = header.padEnd(117) + "\n";
  const start = Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, padded.length & 255, padded.length >> 8]);
  writeFileSync(join(FOLDER, "hour.npy"), Buffer.concat([start, Buffer.from(padded), samples]));
  // The longest time between two ticks of the page's own clock.
  await page.evaluate(() => {
    globalThis.longest = 0;
    let last = performance.now();
    setInterval(() => {
      globalThis.longest = Math.max(globalThis.longest, performance.now() - last);
      last = performance.now();
    }, 10);
  });
  await page.setInputFiles("#files", join(FOLDER, "hour.npy"));
  await page.fill("#ask-samplingRateHz", "100");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#span").value.endsWith("of 1:00:00"));
  await page.waitForSelector("#result .classes, #result .problem");
  await page.click("#later");
  await page.waitForFunction(() => document.querySelector("#span").value.startsWith("0:10"));
  const longest = await page.evaluate(() => globalThis.longest);
  assert.ok(longest < 2000, `the page stood still for ${longest} ms`);
});
