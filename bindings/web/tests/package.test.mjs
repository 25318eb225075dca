import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { folder, inFolder, root } from "./support.mjs";

const run = (program, options, cwd) => {
  const { status, stdout, stderr, error } = spawnSync(program, options, { cwd, encoding: "utf8" });
  assert.equal(status, 0, `${error ?? ""}${stdout}${stderr}`);
  return stdout;
};

test("a program of a user compiles with the types of the package", async () => {
  await inFolder((made) => {
    mkdirSync(join(made, "node_modules"));
    symlinkSync(folder, join(made, "node_modules/ecgpu"));
    cpSync(join(root, "bindings/web/tests/user.ts"), join(made, "user.ts"));
    const libraries = ["--lib", "es2022,dom,dom.iterable,esnext.disposable", "--target", "es2022", "--module", "nodenext"];
    run("tsc", ["--noEmit", "--strict", "--types", "", ...libraries, "user.ts"], made);
  });
});

test("the package has what a user needs and nothing else", () => {
  const [{ files }] = JSON.parse(run("npm", ["pack", "--dry-run", "--json"], folder));
  assert.deepEqual(files.map(({ path }) => path).sort(), [
    "LICENSE", "README.md", "ecgpu.d.ts", "ecgpu.js", "ecgpu_bg.js", "ecgpu_bg.wasm", "package.json", "weights.safetensors",
  ]);
});

test("every name that the types promise is there, and no other", async () => {
  const types = readFileSync(join(folder, "ecgpu.d.ts"), "utf8");
  const promised = [...types.matchAll(/^export (?:default )?(?:function|class) (\w+)/gm)].map(([, name]) => name);
  const exported = Object.keys(await import(join(folder, "ecgpu.js"))).map((name) => (name === "default" ? "init" : name));
  assert.deepEqual(exported.sort(), promised.sort());
});

test("the code stays small, and no path of the machine that built it is in it", () => {
  const code = readFileSync(join(folder, "ecgpu_bg.wasm"));
  const size = gzipSync(code, { level: 9 }).length;
  assert.ok(size < 960_000, `${size} bytes compressed`);
  assert.ok(!/\/(root|home|tmp)\//.test(code.toString("latin1")));
});
