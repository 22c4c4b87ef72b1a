// Standard normal noise from the browser's cryptographic generator.

const AT_ONCE = 8192; // Uint32 values of one call: getRandomValues gives 65,536 bytes at most

function randomBits(count) {
  const bits = new Uint32Array(count);
  for (let start = 0; start < count; start += AT_ONCE) {
    crypto.getRandomValues(bits.subarray(start, Math.min(count, start + AT_ONCE)));
  }
  return bits;
}

/** Independent standard normal values, Float32Array [count] (Box and Muller 1958). */
export function standardNormal(count) {
  const pairs = Math.ceil(count / 2);
  const bits = randomBits(4 * pairs);
  // Of 53 bits, in (0, 1): its logarithm is finite.
  const uniform = (index) =>
    ((bits[index] >>> 5) * 2 ** 26 + (bits[index + 1] >>> 6) + 0.5) / 2 ** 53;
  const values = new Float32Array(2 * pairs);
  for (let pair = 0; pair < pairs; pair += 1) {
    const radius = Math.sqrt(-2 * Math.log(uniform(4 * pair)));
    const angle = 2 * Math.PI * uniform(4 * pair + 2);
    values[2 * pair] = radius * Math.cos(angle);
    values[2 * pair + 1] = radius * Math.sin(angle);
  }
  return values.subarray(0, count);
}
