// What leaves the browser: nothing, unless a user chooses the server.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { browser, classified, DATA, difference, FOLDER, give, host, result, served } from "./support.mjs";

const open = browser();
const record = ["format16.hea", "format16.dat"].map((name) => join(DATA, name));

/** Notes every request of a page from now on, those of its workers too, by method and address. */
function watched(page) {
  const requests = [];
  page.context().on("request", (request) => requests.push(`${request.method()} ${request.url()}`));
  page.on("websocket", (socket) => requests.push(`websocket ${socket.url()}`));
  return requests;
}

test("in the browser nothing is sent after the page is loaded, whatever is done", async () => {
  const page = await result(await open(await served()));
  assert.match(await page.textContent("#privacy"), /nothing is sent/);
  const requests = watched(page);
  await give(page, record);
  await page.click("[data-class=MI] button");
  await page.waitForSelector("#explanation .checks");
  await page.click("#comparison [role=switch]");
  await page.waitForSelector(".comparison table");
  await page.click("text=Verify every stage");
  await page.waitForSelector(".verified [role=status]");
  await page.click("[data-sample=hyp]");
  await result(page);
  assert.deepEqual(requests.filter((it) => !it.includes(" blob:")), []);
});

test("the server is asked when its box is checked, and agrees with the reference", async () => {
  const page = await result(await open(await served()));
  await give(page, record);
  const requests = watched(page);
  await page.check("#with-server");
  await page.click("#comparison [role=switch]");
  await page.waitForSelector(".comparison [data-engine=Server]");
  assert.equal(requests.length, 1);
  assert.match(requests[0], /^POST .*\/api\/predict$/);
  const largest = await page.$$eval(".comparison .largest", (all) => all.map((it) => Number(it.value)));
  assert.ok(largest.length >= 2 && largest.every((it) => it < 1e-4), `largest differences: ${largest}`);
});

test("without the bundle the page is in server mode and says so", async () => {
  const page = await open(await host({ bundle: false, behind: await served() }));
  await page.waitForSelector("html[data-ready]");
  assert.equal(await page.locator("#engine input:checked").inputValue(), "server");
  assert.match(await page.textContent("#privacy"), /sent to .* In server mode, since the WebAssembly bundle is not on this server/);
  await give(page, record);
  assert.ok((await difference(page, classified(record))) < 1e-4);
  await page.click("#comparison [role=switch]");
  await page.waitForSelector(".comparison table");
  assert.match(await page.textContent(".comparison"), /float64 reference: the WebAssembly bundle is not on this server/i);
});

test("on a host of files alone the switch says that there is no server", async () => {
  const page = await result(await open(await host()));
  const server = page.locator("#engine label", { hasText: "Server" });
  assert.match(await server.textContent(), /none/);
  assert.ok(await server.locator("input").isDisabled());
  assert.match(await server.getAttribute("title"), /deployed alone/);
  assert.equal(await page.locator("#with-server").count(), 0);
});

test("a server that wants a token asks for it, and takes it", async () => {
  writeFileSync(join(FOLDER, "tokens"), "secret-of-the-test\n");
  const page = await open(`${await served("--token-file", join(FOLDER, "tokens"))}?engine=server`);
  await page.waitForSelector("html[data-ready]");
  await give(page, record);
  await page.fill("#ask-token", "secret-of-the-test");
  await page.keyboard.press("Enter");
  await result(page);
  assert.ok((await difference(page, classified(record))) < 1e-4);
});
