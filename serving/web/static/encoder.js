// Runs TFLite files in the browser with LiteRT.js: on WebGPU where there is one, else in WASM.

import { standardNormal } from "/demo/noise.js";

const MOST_APART = 1e-3; // of WebGPU's and WASM's results: the share that is another's
let started = null;

function startLiteRt(base) {
  // Its log, written as errors, is none; it goes where browsers hide it.
  self.Module = { printErr: (text) => console.debug(text) };
  started ??= import("@litertjs/core").then(async (core) => {
    await core.loadLiteRt(`${base}core/wasm/`);
    return core;
  });
  return started;
}

const size = (shape) => shape.reduce((product, side) => product * side, 1);

/** A loaded file; `run` may be called again and again. */
class Model {
  constructor(core, compiled, accelerator) {
    this.core = core;
    this.compiled = compiled;
    this.accelerator = accelerator;
    this.inputs = compiled.getInputDetails();
    this.output = compiled.getOutputDetails()[0].name;
    this.earlier = Promise.resolve();
  }

  /** The output, Float32Array, of inputs by name, Float32Arrays; one after the other. */
  run(values) {
    const result = this.earlier.then(() => this.#runNow(values));
    this.earlier = result.catch(() => {});
    return result;
  }

  async #runNow(values) {
    const tensors = Object.fromEntries(this.inputs.map(({ name, shape }) =>
      [name, new this.core.Tensor(values[name], [...shape])]));
    const results = await this.compiled.run(tensors);
    const found = (await results[this.output].data()).slice();
    for (const tensor of [...Object.values(tensors), ...Object.values(results)]) tensor.delete();
    return found;
  }

  /** Fresh inputs for the pixels Uint8ClampedArray of an image; noise where the file takes it. */
  inputsOf(pixels) {
    return Object.fromEntries(this.inputs.map(({ name, shape }) =>
      [name, name === "noise" ? standardNormal(size(shape)) : Float32Array.from(
        pixels, (value) => Math.fround(value) / 255)]));
  }
}

async function compile(core, content, accelerator) {
  const options = { accelerator, gpuOptions: { precision: "fp32" } };
  const compiled = await core.loadAndCompile(content, options);
  return new Model(core, compiled, compiled.options?.accelerator ?? accelerator);
}

// Whether two models compute the same: a GPU's driver may not.
async function agree(one, other) {
  const pixels = new Uint8ClampedArray(size(one.inputs.find(({ name }) =>
    name === "image").shape)).map((_, index) => (index * 37) % 256);
  const inputs = one.inputsOf(pixels);
  const [first, second] = [await one.run(inputs), await other.run(inputs)];
  const length = Math.hypot(...first);
  return Math.hypot(...first.map((value, index) => value - second[index])) <= MOST_APART * length;
}

/**
 * Loads a TFLite file. Its inputs are `image`, float32 [1, S, S, 3] in [0, 1], and perhaps `noise`.
 * `gpu` says whether it may run on WebGPU; it does where a trial gives what WASM gives.
 * The Error of a file that the server does not give out has HTTP's `status`.
 */
export async function load(base, url, gpu) {
  const core = await startLiteRt(base);
  const response = await fetch(url);
  if (!response.ok) {
    throw Object.assign(new Error(`${url}: ${response.status}`), { status: response.status });
  }
  const content = new Uint8Array(await response.arrayBuffer());
  const onCpu = await compile(core, content, "wasm");
  if (!gpu || !core.getWebGpuDevice()) return onCpu;
  try {
    const onGpu = await compile(core, content, "webgpu");
    return (await agree(onCpu, onGpu)) ? onGpu : onCpu;
  } catch (error) {
    console.info(`WebGPU is not used: ${error.message}`);
    return onCpu;
  }
}
