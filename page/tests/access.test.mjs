// By keyboard, by screen reader, on paper, on a phone, in light and dark.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { AXE, browser, DATA, give, host, picture, result, served, text } from "./support.mjs";

const open = browser();
const rules = text(AXE);

/** Returns what axe-core finds, by rule and element. */
async function findings(page) {
  // axe is run by the browser's tools, not by a script of the page: its policy stays in force.
  await page.evaluate(rules);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id} at ${target}: ${failureSummary}`));
}

/** Opens everything that can be opened. */
async function unfold(page) {
  await page.click("[data-class=MI] button");
  await page.waitForSelector("#explanation .checks");
  await page.click("#comparison [role=switch]");
  await page.waitForSelector(".comparison table");
  await page.$$eval("details", (all) => all.forEach((it) => (it.open = true)));
  await page.click("#calipers");
}

for (const [name, options] of Object.entries({
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { viewport: { width: 360, height: 740 }, deviceScaleFactor: 3, hasTouch: true, isMobile: true },
})) {
  test(`axe-core finds nothing: ${name}`, async () => {
    const page = await result(await open(`${await host()}?sample=mi-anterior`, { ...options, bypassCSP: false, reducedMotion: "reduce" }));
    await page.screenshot({ path: picture(name) });
    assert.deepEqual(await findings(page), []);
    await unfold(page);
    await page.screenshot({ path: picture(`${name}-explained`), fullPage: true });
    assert.deepEqual(await findings(page), []);
    await give(page, [{ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("hello") }]);
    await page.screenshot({ path: picture(`${name}-problem`) });
    assert.deepEqual(await findings(page), []);
    const [seen, wide] = await page.evaluate(() => [document.documentElement.clientWidth, document.documentElement.scrollWidth]);
    assert.ok(wide <= seen, `the page is ${wide} wide in a window of ${seen}`);
    assert.deepEqual(page.faults, []);
  });
}

test("the switch of the theme overrides the system's", async () => {
  const page = await result(await open(await host(), { colorScheme: "light" }));
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.selectOption("#theme", "dark");
  assert.notEqual(await ground(), light);
  await page.reload();
  await result(page);
  assert.notEqual(await ground(), light, "the choice is kept");
});

test("everything is reached and done by keyboard", async () => {
  const page = await result(await open(await host()));
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim().slice(0, 40));
  await page.evaluate(() => document.activeElement.blur());
  const seen = [];
  for (let at = 0; at < 60 && seen.at(-1) !== "Save as JSON"; at += 1) {
    await page.keyboard.press("Tab");
    seen.push(await focused());
  }
  for (const name of ["pick", "Anterior MI", "desk", "in", "arrangement", "speed", "gain", "calipers", "print", "Where?"]) {
    assert.ok(seen.includes(name), `${name} among ${seen}`);
  }
  await page.focus("#desk");
  const scale = () => page.inputValue("#scale").catch(() => page.$eval("#scale", (it) => it.value));
  const before = await scale();
  await page.keyboard.press("+");
  assert.notEqual(await scale(), before);
  await page.keyboard.press("0");
  assert.equal(await scale(), before);
  await page.keyboard.press("c");
  const measured = () => page.$eval("#measured", (it) => it.value);
  assert.match(await measured(), /^400\sms, 150\/min, 1\.00\smV$/);
  for (let at = 0; at < 5; at += 1) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+ArrowUp");
  assert.match(await measured(), /^440\sms, 136\/min, 1\.50\smV$/);
  assert.match(await page.textContent("#announcement"), /440\sms/);
  await page.keyboard.press("Escape");
  assert.equal(await measured(), "drag to measure");
  await page.focus("[data-class=STTC] button");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#explanation .checks");
  assert.ok(await page.locator("#paper .marks path.mark").count());
});

test("a drag measures: a large square is 200 ms and half a millivolt", async () => {
  const page = await result(await open(await host()));
  const box = await page.locator("#paper").boundingBox();
  const mm = box.width / 265;
  await page.mouse.move(box.x + 50 * mm, box.y + 60 * mm);
  await page.mouse.down();
  await page.mouse.move(box.x + 70 * mm, box.y + 55 * mm, { steps: 4 });
  await page.mouse.up();
  assert.match(await page.$eval("#measured", (it) => it.value), /^(799|80[01])\sms, 75\/min, 0\.50\smV$/);
  await page.selectOption("#gain", "20");
  await page.selectOption("#speed", "50");
  const pulse = await page.$eval("#paper .pulses path", (it) => it.getAttribute("d"));
  assert.match(pulse, /^M2 25H5V5H15V25/, "1 mV is 20 mm high and 0.2 s are 10 mm wide");
});

test("the traces are true: 25 mm for a second, 10 mm for a millivolt, each lead at its time", async () => {
  const page = await result(await open(await host()));
  const [head, ...rows] = text(join(DATA, "table.csv")).trim().split("\n").filter((line) => !line.startsWith("#")).map((line) => line.split(","));
  await give(page, [join(DATA, "table.csv")]);
  const paths = await page.$$eval("#paper .traces path", (all) => all.map((it) => [it.dataset.lead, it.getAttribute("d")]));
  assert.equal(paths.length, 13);
  const columns = { I: 0, II: 0, III: 0, aVR: 1, aVL: 1, aVF: 1, V1: 2, V2: 2, V3: 2, V4: 3, V5: 3, V6: 3 };
  paths.forEach(([lead, d], at) => {
    const index = head.findIndex((name) => name.trim().toLowerCase() === lead.toLowerCase());
    const samples = rows.map((row) => Number(row[index]));
    const level = [...samples].sort((a, b) => a - b)[samples.length >> 1];
    const [column, row] = at === 12 ? [0, 3] : [columns[lead], at % 3];
    const points = d.slice(1).split("L").map((point) => point.split(" ").map(Number));
    const first = Math.floor(column * 2.5 * 100);
    points.forEach(([x, y], offset) => {
      const [time, up] = [(first + offset) / 100, samples[first + offset] - level];
      assert.ok(Math.abs(x - (15 + 25 * time)) < 0.01 && Math.abs(y - (25 + 35 * row - 10 * up)) < 0.01, `${lead} at ${time} s: ${x} ${y}`);
    });
  });
});

test("the print has the paper in its true size on A4, the result and the disclaimer", async () => {
  const page = await result(await open(await host()));
  await page.selectOption("#arrangement", "12x1");
  const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: true, path: picture("print").replace(".png", ".pdf") });
  assert.match(pdf.toString("latin1"), /\/MediaBox \[0 0 84[12](\.\d+)? 59[45](\.\d+)?\]/);
  assert.equal(pdf.toString("latin1").match(/\/Type \/Page\b/g).length, 1);
  await page.selectOption("#arrangement", "3x4");
  await page.setViewportSize({ width: 1009, height: 733 });
  await page.emulateMedia({ media: "print" });
  await page.screenshot({ path: picture("print") });
  const { width, height } = await page.locator("#paper").boundingBox();
  const mm = (pixels) => (pixels / 96) * 25.4;
  assert.ok(Math.abs(mm(width) - 265) < 0.2 && Math.abs(mm(height) - 150) < 0.2, `${mm(width)} x ${mm(height)} mm`);
  assert.ok(await page.locator("#result .classes").isVisible());
});

/** Passes a request on to the server, and its answer with the map by Grad-CAM as if it had failed: which map of a sample does depends on the weights. */
async function withFailedMap(route) {
  const response = await route.fetch();
  const content = await response.json();
  for (const { explanation } of content.predictions) {
    const map = explanation.methods.find((it) => it.method === "grad-cam");
    Object.assign(map, { passed: false, deletion: { ...map.deletion, passed: false, random_orders_beaten: 0 } });
  }
  await route.fulfill({ response, json: content });
}

test("a map that fails a check says so above the paper", async () => {
  const page = await result(await open(`${await host({ bundle: false, behind: await served() })}?sample=norm`));
  await page.route("**/api/predict", withFailedMap);
  await page.click("[data-class=NORM] button");
  await page.waitForSelector("#explanation .checks");
  await page.check("#explanation input[value=grad-cam]");
  await page.waitForFunction(() => document.querySelector("#explanation input:checked")?.value === "grad-cam" && document.querySelector("#explanation .checks"));
  assert.equal(await page.locator("#explanation .check.bad").count(), 1);
  assert.ok(await page.locator("#banner.failed").isVisible());
  assert.equal(await page.locator("#paper .marks.failed").count(), 1);
  assert.match(await page.textContent("#banner"), /Do not rely on this map: it failed/);
  await page.screenshot({ path: picture("failed-map"), fullPage: true });
});

test("saved JSON has the numbers of the page", async () => {
  const page = await result(await open(await host()));
  await give(page, ["format16.hea", "format16.dat"].map((name) => join(DATA, name)));
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("text=Save as JSON")]);
  const saved = JSON.parse(text(await download.path()));
  assert.equal(download.suggestedFilename(), "format16.json");
  assert.equal(saved.logits.length, 5);
  assert.ok(saved.thresholds.MI > 0 && saved.device);
});
