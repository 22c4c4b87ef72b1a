// Which picture files are read, and the words that refuse all others: the rule of training, of the
// exported encoder and of the server (serving/pictures). A test holds all to the same verdicts.

const MOST_PARTS = 10000; // a file of more parts is not looked through further
const FRAMES = new Set([0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf]);
const READ_FRAMES = new Set([0xc0, 0xc1, 0xc2]);
const [APP14, SCAN, END, FILL] = [0xee, 0xda, 0xd9, 0xff];
const BMP_HEADERS = [12, 40, 52, 56, 64, 108, 124];
const BMP_BITS = [1, 4, 8, 24, 32];
// PNG: chunks that are known, channels by the kind of colour, and for each pass of an interlaced file
// its first column and row, and the steps between columns and rows.
const NECESSARY = new Set(["IHDR", "PLTE", "IDAT", "IEND"]);
const CHANNELS = { 2: 3, 4: 2, 6: 4 };
const WHOLE = [[0, 0, 1, 1]];
const ADAM7 = [
  [0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2],
];
const MASKS = [0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0]; // red, green, blue

const beginnings = {
  JPEG: [[0, "\xff\xd8\xff"]],
  PNG: [[0, "\x89PNG\r\n\x1a\n"]],
  BMP: [[0, "BM"]],
  GIF: [[0, "GIF87a"]],
  "GIF ": [[0, "GIF89a"]],
  WebP: [[0, "RIFF"], [8, "WEBP"]],
};
const readers = { JPEG: jpeg, PNG: png, BMP: bmp, GIF: gif, WebP: webp };

/** Promises what is wrong with a picture file, Uint8Array, by its bytes; "" where nothing is. */
export async function refusal(bytes) {
  const found = Object.entries(beginnings).find(([, parts]) =>
    parts.every(([start, wanted]) => text(bytes, start, wanted.length) === wanted));
  if (!found) return `is no picture of a known format (${Object.keys(readers).join(", ")})`;
  const kind = found[0].trim();
  try {
    const words = await readers[kind](bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
    return words && `is ${words}`;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return `is a damaged ${kind}: it breaks off`;
  }
}

function text(bytes, start, length) {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

// (marker, start of the body, its length) of the segments up to the first scan.
function* segments(bytes, view) {
  let position = 2;
  for (let part = 0; part < MOST_PARTS; part += 1) {
    const marker = view.getUint8(position + 1);
    if (view.getUint8(position) !== 0xff || marker === END) return;
    if (marker === FILL || marker === 1 || (marker >= 0xd0 && marker <= 0xd8)) {
      position += marker === FILL ? 1 : 2;
      continue;
    }
    const length = marker === SCAN ? 2 : view.getUint16(position + 2);
    if (length < 2) return;
    yield [marker, position + 4, length - 2];
    if (marker === SCAN) return;
    position += 2 + length;
  }
}

function jpeg(bytes, view) {
  let frame = null;
  let hasAdobe = false;
  let scan = 0;
  for (const [marker, start, length] of segments(bytes, view)) {
    if (FRAMES.has(marker) && !frame) frame = [marker, start];
    if (marker === APP14 && length >= 5) hasAdobe ||= text(bytes, start, 5) === "Adobe";
    if (marker === SCAN) scan = start;
  }
  if (!frame || !scan) return "a damaged JPEG: its headers break off";
  const [marker, start] = frame;
  const channels = view.getUint8(start + 5);
  if (!READ_FRAMES.has(marker)) return "a lossless, hierarchical or arithmetic-coded JPEG";
  if (view.getUint8(start) !== 8) return "a JPEG that does not have 8 bits a channel";
  if (![1, 3, 4].includes(channels)) return "a JPEG that does not have 1, 3 or 4 channels";
  if (channels === 4 && !hasAdobe) return "a CMYK JPEG without Adobe’s segment";
  for (let place = bytes.lastIndexOf(END); place > scan; place = bytes.lastIndexOf(END, place - 1)) {
    if (bytes[place - 1] === 0xff) return "";
  }
  return "a damaged JPEG: it breaks off";
}

const checksums = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function checksum(bytes) {
  let value = -1;
  for (const byte of bytes) value = checksums[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

async function png(bytes, view) {
  if (text(bytes, 12, 4) !== "IHDR") return "a damaged PNG: its headers break off";
  const [bits, colour] = [view.getUint8(24), view.getUint8(25)];
  let position = 8;
  let isTransparent = false;
  const packed = [];
  for (let part = 0; part < MOST_PARTS; part += 1) {
    const end = position + 8 + view.getUint32(position);
    const name = text(bytes, position + 4, 4);
    isTransparent ||= name === "tRNS";
    const isNeeded = !(bytes[position + 4] & 0x20);
    if (isNeeded && checksum(bytes.subarray(position + 4, end)) !== view.getUint32(end)) {
      return "a damaged PNG: a checksum is wrong";
    }
    if (isNeeded && (!NECESSARY.has(name) || (name === "IHDR" && part > 0))) {
      return "a damaged PNG: a necessary chunk is unknown or there twice";
    }
    if (name === "IDAT") packed.push(bytes.subarray(position + 8, end));
    if (name === "IEND") break;
    position = end + 4;
  }
  const isColour = isTransparent && (colour === 0 || colour === 2);
  if (isColour && bits !== 8) return "a PNG with a transparent colour that does not have 8 bits";
  return (await inflates(packed, unpackedSize(view))) ? "" : "a damaged PNG: it breaks off";
}

// Bytes of a PNG's data, inflated: rows of each pass, each after a byte that names its filter.
function unpackedSize(view) {
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const bits = view.getUint8(24) * (CHANNELS[view.getUint8(25)] ?? 1);
  return (view.getUint8(28) ? ADAM7 : WHOLE).reduce((sum, [left, top, across, down]) => {
    const columns = Math.max(0, Math.ceil((width - left) / across));
    const rows = Math.max(0, Math.ceil((height - top) / down));
    return sum + (columns ? rows * (1 + Math.ceil((columns * bits) / 8)) : 0);
  }, 0);
}

// Whether data in zlib's format hold at least so many bytes; no more of them is inflated.
async function inflates(packed, wanted) {
  const unpacked = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = unpacked.getReader();
  try {
    for (let found = 0; found < wanted;) {
      const { value, done } = await reader.read();
      if (done) return false;
      found += value.length;
    }
  } catch {
    return false;
  }
  reader.cancel().catch(() => {});
  return true;
}

// The place after blocks of data that each begin with their length, the last of none.
function afterBlocks(view, start) {
  let position = start;
  while (view.getUint8(position)) position += 1 + view.getUint8(position);
  return position + 1;
}

const paletteSize = (flags) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);

function gif(bytes, view) {
  const canvas = [0, 0, view.getUint16(6, true), view.getUint16(8, true)];
  let position = 13 + paletteSize(view.getUint8(10));
  while (view.getUint8(position) === 0x21) position = afterBlocks(view, position + 2);
  if (view.getUint8(position) !== 0x2c) return "a damaged GIF: it has no picture";
  const box = [1, 3, 5, 7].map((place) => view.getUint16(position + place, true));
  // Throws where the first frame breaks off.
  afterBlocks(view, position + 11 + paletteSize(view.getUint8(position + 9)));
  return box.every((side, index) => side === canvas[index])
    ? "" : "a GIF whose first frame does not fill its canvas";
}

function webp(bytes, view) {
  const isAnimated = text(bytes, 12, 4) === "VP8X" && view.getUint8(20) & 2;
  if (isAnimated) return "an animated WebP";
  return view.getUint32(4, true) + 8 > bytes.length ? "a damaged WebP: it breaks off" : "";
}

function bmpHeaders(view) {
  const [start, size] = [view.getUint32(10, true), view.getUint32(14, true)];
  if (size === 12) {
    const [width, height, , bits] = [18, 20, 22, 24].map((place) => view.getUint16(place, true));
    return { start, size, width, height, bits, compression: 0, colours: 0 };
  }
  return {
    start,
    size,
    width: view.getInt32(18, true),
    height: Math.abs(view.getInt32(22, true)),
    bits: view.getUint16(28, true),
    compression: view.getUint32(30, true),
    colours: view.getUint32(46, true),
  };
}

// The greatest place in the palette that a pixel names.
function greatestPlace(bytes, { start, width, height, bits }, stride) {
  let greatest = 0;
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const byte = bytes[start + row * stride + ((column * bits) >> 3)];
      const shift = 8 - bits - ((column * bits) & 7);
      greatest = Math.max(greatest, (byte >> shift) & ((1 << bits) - 1));
    }
  }
  return greatest;
}

function isBeyondPalette(bytes, headers, stride) {
  const most = 1 << headers.bits;
  const count = headers.colours > 0 && headers.colours <= most ? headers.colours : most;
  const room = Math.floor((bytes.length - 14 - headers.size) / (headers.size === 12 ? 3 : 4));
  return greatestPlace(bytes, headers, stride) >= Math.min(count, room);
}

function bmp(bytes, view) {
  const headers = bmpHeaders(view);
  const { start, size, width, height, bits, compression } = headers;
  const hasMasks = compression === 3 && bits === 32;
  const isRead = hasMasks && MASKS.every((value, index) => bytes[54 + index] === value);
  const stride = 4 * Math.floor((width * bits + 31) / 32);
  const faults = [
    [!BMP_HEADERS.includes(size), "a BMP with an unknown header"],
    [bits === 16, "a BMP of 16 bits a pixel"],
    [(compression === 3 || compression === 6) && !isRead, "a BMP with bit fields"],
    [compression !== 0 && !isRead, "a compressed BMP"],
    [!BMP_BITS.includes(bits), "a BMP of an unknown number of bits a pixel"],
    [width < 1 || height < 1 || start + height * stride > bytes.length,
      "a damaged BMP: cut off, or without pixels"],
  ];
  const fault = faults.find(([isFault]) => isFault);
  if (fault) return fault[1];
  const isBeyond = bits <= 8 && isBeyondPalette(bytes, headers, stride);
  return isBeyond ? "a damaged BMP: colours beyond its palette" : "";
}
