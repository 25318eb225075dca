// Compiles every shader that the test of the shaders wrote by the compilers of other people. A refusal is a failure, except
// of what a compiler cannot have; that must be refused, so that the list below stays true.
//
//     node tests/shader_compilers.mjs FOLDER usual|all
//
// FOLDER is what tests/on_shader_compilers.sh makes: it has the compilers and, in `shaders`, the texts.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'

const [folder, which] = process.argv.slice(2)
const texts = resolve(folder, 'shaders')
const COOPERATIVE_MATRICES = 'enable wgpu_cooperative_matrix;'
const REFUSED = [
    { by: 'Tint', is: ({ inBrowser }) => inBrowser === false, why: 'no browser is offered it' },
    {
        by: 'spirv-val',
        is: ({ code }) => code.includes(COOPERATIVE_MATRICES),
        why: 'wgpu 30 declares the memory model of Vulkan and uses the scope of a device without that capability',
    },
]
// FXC optimises a loop of one turn and then takes a barrier for one that not all invocations reach. A software adapter
// alone is offered this variant, and another takes its place.
const MAY_BE_REFUSED = { by: 'FXC', name: 'pooled_linear', has: 'const SLICES: u32 = 1;' }

/** Runs a program and returns its output. */
function run(program, parameters, options) {
    return new Promise((done, fail) => {
        const child = spawn(program, parameters, { cwd: texts, ...options })
        let output = ''
        for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (output += data))
        child.on('error', fail)
        child.on('close', () => done(output))
    })
}

/** Divides jobs into as many parts as there are cores. */
function inParts(jobs) {
    const parts = Array.from({ length: availableParallelism() }, () => [])
    jobs.forEach((job, at) => parts[at % parts.length].push(job))
    return parts
}

// Every compiler notes in job.refusal why it refuses a job, if it does.

async function tint(jobs) {
    const { create, globals } = createRequire(resolve(folder, 'index.js'))('webgpu')
    Object.assign(globalThis, globals)
    // It computes nothing. It is kept, because Dawn fails once it is collected.
    globalThis.gpu = create(['backend=null'])
    // A device has the features that the shader's `enable` lines name, and no others.
    const devices = new Map()
    const names = { 'enable f16;': 'shader-f16', 'enable subgroups;': 'subgroups' }
    for (const job of jobs) {
        const { code } = job
        const requiredFeatures = Object.keys(names).filter(line => code.includes(line)).map(line => names[line])
        const key = requiredFeatures.join()
        if (!devices.has(key)) devices.set(key, await (await gpu.requestAdapter()).requestDevice({ requiredFeatures }))
        const device = devices.get(key)
        device.pushErrorScope('validation')
        const compute = { module: device.createShaderModule({ code }), entryPoint: 'main', constants: job.constants }
        const pipeline = device.createComputePipelineAsync({ layout: 'auto', compute })
        job.refusal = await pipeline.then(() => undefined, error => error.message)
        job.refusal ??= (await device.popErrorScope())?.message
    }
}

/**
 * Takes the strides of sized arrays and the offsets in structs that are no buffers out of SPIR-V. naga 30 writes them also
 * for other memory, which Vulkan forbids since 2025 and drivers ignore; spirv-val would stop there.
 */
function withoutNeedlessLayouts(bytes) {
    const [ARRAY, STRUCT, DECORATE, MEMBER_DECORATE, BLOCK, STRIDE, OFFSET] = [28, 30, 71, 72, 2, 6, 35]
    const words = new Uint32Array(new Uint8Array(bytes).buffer)
    const instructions = []
    for (let at = 5; at < words.length; at += words[at] >>> 16) instructions.push(words.subarray(at, at + (words[at] >>> 16)))
    const is = code => ([first]) => (first & 0xffff) === code
    const arrays = new Set(instructions.filter(is(ARRAY)).map(([, result]) => result))
    const decorations = instructions.filter(is(DECORATE))
    const buffers = new Set(decorations.filter(([, , what]) => what === BLOCK).map(([, of]) => of))
    for (const [, result, ...members] of instructions.filter(is(STRUCT))) {
        if (buffers.has(result)) members.forEach(member => buffers.add(member))
    }
    const isNeedless = instruction => {
        const [, of, what, whatOfMember] = instruction
        const isStride = is(DECORATE)(instruction) && what === STRIDE && arrays.has(of)
        return isStride || (is(MEMBER_DECORATE)(instruction) && whatOfMember === OFFSET && !buffers.has(of))
    }
    const kept = [words.subarray(0, 5), ...instructions.filter(instruction => !isNeedless(instruction))]
    return Buffer.concat(kept.map(part => Buffer.from(part.buffer, part.byteOffset, part.byteLength)))
}

async function spirvVal(jobs) {
    for (const { file } of jobs) {
        const path = resolve(texts, file)
        writeFileSync(path, withoutNeedlessLayouts(readFileSync(path)))
    }
    // A shell starts the many processes, because each takes long to fork from one that holds all shaders.
    const all =
        'set -f; for file; do message=$("$0" --target-env "$ENV" "$file" 2>&1) || echo $file refused: ${message:-without a reason}; done'
    const env = { ...process.env, ENV: jobs[0].file.match(/vulkan1\.\d/)[0] }
    await Promise.all(inParts(jobs).map(async part => {
        const files = part.map(({ file }) => file)
        const output = await run('bash', ['-c', all, resolve(folder, 'spirv-val'), ...files], { env })
        const refusals = new Map([...output.matchAll(/^(\S+) refused: (.*)$/gm)].map(([, ...outcome]) => outcome))
        for (const job of part) job.refusal = refusals.get(job.file)
    }))
}

async function directX(jobs) {
    await Promise.all(inParts(jobs).map(async (part, at) => {
        const list = `list${at}`
        writeFileSync(resolve(texts, list), part.map(job => `${job.file}\n`).join(''))
        const env = {
            ...process.env,
            WINEPREFIX: resolve(folder, 'wine'),
            WINEDEBUG: '-all',
            WINEDLLOVERRIDES: 'd3dcompiler_47=n;mscoree,mshtml=d',
        }
        // Windows ends lines with two characters.
        const output = (await run('/usr/lib/wine/wine64', [resolve(folder, 'hlsl.exe'), list], { env })).replaceAll('\r', '')
        const outcomes = new Map()
        for (const [, time, file, refusal] of output.matchAll(/^ *(\d+) ms (\S+)(?: refused: (.*))?$/gm)) {
            outcomes.set(file, { time: Number(time), refusal })
        }
        for (const job of part) Object.assign(job, outcomes.get(job.file) ?? { refusal: `no outcome: ${output.slice(-500)}` })
    }))
}

/** Compiles all files of one ending, and one that is broken. */
async function judge(name, compile, ending, shaders, broken) {
    const start = Date.now()
    writeFileSync(resolve(texts, `broken.${ending}`), broken)
    const jobs = [...shaders, { file: 'broken', name: 'a broken shader', constants: {}, code: broken }]
        .map(shader => ({ ...shader, file: `${shader.file}.${ending}` }))
        .filter(({ file }) => existsSync(resolve(texts, file)))
    await compile(jobs)
    let wrong = 0
    for (const job of jobs) {
        const { file, name: shader, constants, code, refusal } = job
        const excused = MAY_BE_REFUSED
        if (name === excused.by && shader === excused.name && code.includes(excused.has)) continue
        const known = REFUSED.find(({ by, is }) => by === name && is(job))
        if ((file === `broken.${ending}` || known ? !refusal : refusal) && ++wrong <= 10) {
            const why = refusal ?? `is compiled, although ${known?.why ?? 'it is wrong'}`
            console.error(`${name}: ${shader} (${file}) with ${JSON.stringify(constants)}: ${why}`)
        }
    }
    if (wrong) process.exitCode = 1
    const refused = jobs.filter(({ refusal }) => refusal).length - 1
    const slowest = jobs.reduce((slowest, job) => (job.time > (slowest?.time ?? 0) ? job : slowest), undefined)
    const longest = slowest ? `, ${slowest.name} for ${slowest.time} ms` : ''
    const took = ((Date.now() - start) / 1000).toFixed(0)
    console.log(`${name}, ${ending}: ${jobs.length - 1} shaders, ${refused} refused, ${wrong} wrongly (${took} s${longest})`)
}

/** Chooses at most `most` shaders of each file, from the first to the last. */
function ofEach(most, ending) {
    const named = {}
    for (const shader of usual) {
        if (existsSync(resolve(texts, `${shader.file}.${ending}`))) (named[shader.name] ??= []).push(shader)
    }
    const few = list => list.filter((_, at) => at % Math.ceil(list.length / most) === 0)
    return which === 'all' ? shaders : Object.values(named).flatMap(few)
}

const shaders = JSON.parse(readFileSync(resolve(texts, 'shaders.json')))
for (const shader of shaders) shader.code = readFileSync(resolve(texts, `${shader.file}.wgsl`), 'utf8')
await judge('Tint', tint, 'wgsl', shaders, '@compute @workgroup_size(64) fn main() { let x: u32 = 1.5; }')
const usual = which === 'all' ? shaders : shaders.filter(({ file }) => file.endsWith('usual'))
for (const ending of ['vulkan1.1.spv', 'vulkan1.3.spv']) {
    const whole = readFileSync(resolve(texts, `${shaders[0].file}.${ending}`))
    // Without its last instruction, the end of a function.
    await judge('spirv-val', spirvVal, ending, usual, whole.subarray(0, -4))
}
const broken = '[numthreads(64, 1, 1)] void main() { uint x = y; }'
// FXC takes seconds for a shader.
await judge('FXC', directX, 'cs_5_1.hlsl', ofEach(6, 'cs_5_1.hlsl'), broken)
for (const ending of ['cs_6_0.hlsl', 'cs_6_2.hlsl']) await judge('DXC', directX, ending, ofEach(24, ending), broken)
// Dawn keeps the process alive.
process.exit()
