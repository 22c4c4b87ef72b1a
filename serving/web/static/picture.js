// From a file or a camera to what the encoder sees: as arl_tf prepares images for training.

import { refusal } from "/demo/kinds.js";

const ROWS_AT_ONCE = 256; // of a photo: its pixels never lie in memory all at once

/**
 * Decodes a picture file, upright as its EXIF orientation says, colour profiles left aside.
 * Throws an Error that says what is wrong with it.
 */
export async function decode(file) {
  const words = await refusal(new Uint8Array(await file.arrayBuffer()));
  if (words) throw new Error(words);
  try {
    return await createImageBitmap(file, {
      imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none",
    });
  } catch {
    throw new Error("is damaged: no browser opens it");
  }
}

/**
 * The square that is taken of a picture: the largest in its centre, or, with the fit "pad", that of
 * its longer side, which reaches beyond the picture. An odd pixel is right or below.
 */
export function centredSquare(width, height, fit = "crop") {
  const side = fit === "pad" ? Math.max(width, height) : Math.min(width, height);
  const [left, top] = [width, height].map((length) => Math.trunc((length - side) / 2));
  return { side, left, top, width, height };
}

/**
 * For every output pixel, the input pixels that it is a mean of, and their weights: a bilinear
 * resize with antialiasing, as tf.image.resize(antialias=True).
 */
export function triangles(inputs, outputs) {
  const scale = inputs / outputs;
  const reach = Math.max(scale, 1);
  return Array.from({ length: outputs }, (_, output) => {
    const centre = (output + 0.5) * scale;
    const first = Math.max(0, Math.ceil(centre - reach - 0.5));
    const last = Math.min(inputs - 1, Math.floor(centre + reach - 0.5));
    const weights = [];
    for (let input = first; input <= last; input += 1) {
      weights.push(Math.max(0, 1 - Math.abs(input + 0.5 - centre) / reach));
    }
    const sum = weights.reduce((one, other) => one + other, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

// To the nearest whole number, a tie to the even one, as tf.round.
function rounded(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

// Some rows of the square as RGBA; null where a pixel is transparent: a canvas rounds its colour.
function rowsOf(source, square, first, count) {
  const canvas = new OffscreenCanvas(square.side, count);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.drawImage(
    source, square.left, square.top + first, square.side, count, 0, 0, square.side, count);
  blackMargins(context, square, first, count);
  const { data } = context.getImageData(0, 0, square.side, count);
  for (let alpha = 3; alpha < data.length; alpha += 4) if (data[alpha] < 255) return null;
  return data;
}

// Makes rows of the square black where they lie beyond the picture; where they don't, the
// rectangles lie outside of the canvas.
function blackMargins(context, square, first, count) {
  const [left, top] = [-square.left, -square.top - first];
  const [right, bottom] = [left + square.width, top + square.height];
  context.fillStyle = "black";
  context.fillRect(0, 0, left, count);
  context.fillRect(right, 0, square.side - right, count);
  context.fillRect(0, 0, square.side, top);
  context.fillRect(0, bottom, square.side, count - bottom);
}

// Reads rows of a picture with transparent parts, which lie over black as in training.
function transparentRows(source, square) {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl");
  if (!gl || Math.max(source.width, source.height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
    throw new Error("has transparent parts, which this browser can’t read; save it without them");
  }
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, source);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(
    gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  return (first, count) => {
    const pixels = new Uint8Array(4 * square.side * count);
    gl.readPixels(
      square.left, square.top + first, square.side, count, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return overBlack(pixels);
  };
}

// Colours times opacity, rounded, of RGBA pixels in place.
function overBlack(pixels) {
  for (let index = 0; index < pixels.length; index += 1) {
    const alpha = pixels[index | 3];
    if ((index & 3) < 3) pixels[index] = Math.floor((pixels[index] * alpha + 127) / 255);
  }
  return pixels;
}

// A row of RGBA pixels, resized to `across.length` RGB pixels, written to `target` from `start`.
function resizeRow(pixels, offset, across, target, start) {
  across.forEach(({ first, weights }, column) => {
    for (let channel = 0; channel < 3; channel += 1) {
      let sum = 0;
      for (let index = 0; index < weights.length; index += 1) {
        sum += weights[index] * pixels[offset + 4 * (first + index) + channel];
      }
      target[start + 3 * column + channel] = sum;
    }
  });
}

/**
 * What the encoder sees of a picture: Uint8ClampedArray [size * size * 3], RGB.
 * `source` is an ImageBitmap, a canvas or a video of width x height pixels. `fit` is "crop" or
 * "pad", as the encoder's manifest says.
 */
export function prepare(source, width, height, size, fit = "crop") {
  const square = centredSquare(width, height, fit);
  const weights = triangles(square.side, size);
  const rows = new Float32Array(square.side * size * 3);
  let transparent = null;
  for (let first = 0; first < square.side; first += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, square.side - first);
    let pixels = transparent ? transparent(first, count) : rowsOf(source, square, first, count);
    if (!pixels) {
      transparent = transparentRows(source, square);
      pixels = transparent(first, count);
    }
    for (let row = 0; row < count; row += 1) {
      resizeRow(pixels, 4 * square.side * row, weights, rows, 3 * size * (first + row));
    }
  }
  const image = new Uint8ClampedArray(3 * size * size);
  weights.forEach(({ first, weights: down }, row) => {
    for (let column = 0; column < 3 * size; column += 1) {
      const sum = down.reduce(
        (whole, weight, index) => whole + weight * rows[3 * size * (first + index) + column], 0);
      image[3 * size * row + column] = rounded(sum);
    }
  });
  return image;
}

/** Draws RGB pixels on a canvas, which takes their size. */
export function paint(canvas, pixels, size) {
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  for (let pixel = 0; pixel < size * size; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      image.data[4 * pixel + channel] = pixels[3 * pixel + channel];
    }
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
