// The photo is cut to a square here, sent once, and what comes back is shown.
"use strict";

const LARGEST = 512; // side of the square that is sent, pixels
const FIRST = 8; // attributes shown before "Show all"
const element = (name) => document.getElementById(name);
const photo = element("photo");
// Numbers of the latest photo that was sent, choice of one, and wish about the camera.
let latest = 0;
let choices = 0;
let camera = 0;
let stream = null;

function say(text, isError = false) {
  element("state").textContent = text;
  element("state").classList.toggle("error", isError);
}

// The centred square, as the encoder would cut it.
function draw(source, width, height) {
  const side = Math.min(width, height);
  photo.width = photo.height = Math.min(side, LARGEST);
  photo.getContext("2d").drawImage(
    source, Math.floor((width - side) / 2), Math.floor((height - side) / 2), side, side,
    0, 0, photo.width, photo.height);
}

async function explain(what) {
  const number = ++latest;
  element("flow").setAttribute("aria-busy", "true");
  say("Encoding …");
  photo.setAttribute("aria-label", what);
  try {
    const blob = await new Promise((done) => photo.toBlob(done, "image/png"));
    const response = await fetch("/demo/explain", { method: "POST", body: blob });
    const answer = await response.json();
    if (number !== latest) return;
    if (!response.ok) throw new Error(answer.error);
    show(answer);
    say(`Shown: ${what}.`);
  } catch (error) {
    if (number === latest) {
      clear();
      say(`That did not work: ${error.message}`, true);
    }
  } finally {
    if (number === latest) element("flow").setAttribute("aria-busy", "false");
  }
}

// What was found in an earlier photo must not stand beside this one.
function clear() {
  for (const name of ["code", "protected", "unprotected"]) {
    element(name).removeAttribute("src");
    element(name).alt = "";
  }
  for (const name of ["code_size", "protected_finding", "unprotected_finding", "leakage"]) {
    element(name).textContent = "";
  }
  for (const name of ["protected", "unprotected"]) {
    element(name).parentElement.classList.remove("shown");
  }
  element("ruler").hidden = element("more").hidden = true;
  element("attributes").replaceChildren();
}

function show({ code, attributes, reconstructions, findings }) {
  element("code").src = code.picture;
  element("code").alt = `The code's channels as ${code.shape.join(" × ")} grey values`;
  element("code_size").textContent =
    `All that leaves: ${code.shape.join(" × ")} numbers, ${code.bytes.toLocaleString("en")} bytes.`;
  showAttributes(attributes);
  const alternatives = {
    protected: "The attacker's picture from this encoder's code",
    unprotected: "The attacker's picture from an unprotected encoder's code",
  };
  for (const [name, text] of Object.entries(alternatives)) {
    const picture = reconstructions[name];
    element(name).parentElement.classList.toggle("shown", picture !== null);
    element(name).alt = picture ? text : "";
    if (picture) element(name).src = picture;
    else element(name).removeAttribute("src");
    element(`${name}_finding`).textContent = picture ? finding(findings.attackers?.[name]) : "";
  }
  element("ruler").hidden = !Object.keys(alternatives).some((name) =>
    element(`${name}_finding`).textContent.includes("similarity"));
  const leakage = findings.leakage ?? null;
  const found = leakage > 0
    ? `${Math.round(100 * leakage)} % of what an unprotected code tells of a face beyond what the ` +
      "attributes tell"
    : "no more of a face than the attributes tell";
  element("leakage").textContent =
    leakage === null ? "" : `By its audit, this encoder's code gives away ${found}.`;
}

function finding(attacker) {
  if (!attacker) return "";
  const likeness = attacker.face_similarity === null ? "" :
    ` Face similarity ${attacker.face_similarity.toFixed(2)}.`;
  return `Attacker: ${attacker.words}.${likeness}`;
}

function showAttributes(attributes) {
  // The surest first, whether they are there or not.
  const sorted = [...attributes].sort(
    (one, other) => Math.abs(other.probability - 0.5) - Math.abs(one.probability - 0.5));
  const present = sorted.filter((one) => one.probability >= 0.5);
  const absent = sorted.filter((one) => one.probability < 0.5);
  const expanded = element("more").getAttribute("aria-expanded") === "true";
  element("attributes").replaceChildren(...[...present, ...absent].map(row));
  element("more").hidden = attributes.length <= FIRST;
  expand(expanded);
}

function row({ name, probability }) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.textContent = name.replaceAll("_", " ");
  const meter = document.createElement("meter");
  meter.value = probability;
  meter.setAttribute("aria-label", label.textContent);
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = `${Math.round(100 * probability)} %`;
  item.append(label, meter, number);
  return item;
}

function expand(all) {
  element("more").setAttribute("aria-expanded", String(all));
  element("more").textContent = all ? "Show fewer" : "Show all";
  [...element("attributes").children].forEach((item, index) => {
    item.hidden = !all && index >= FIRST;
  });
}

async function open(file, what) {
  stopCamera();
  const choice = ++choices;
  try {
    const bitmap = await createImageBitmap(file);
    if (choice !== choices) return;
    draw(bitmap, bitmap.width, bitmap.height);
    bitmap.close();
  } catch {
    if (choice === choices) say(`“${what}” is no picture that this browser can open.`, true);
    return;
  }
  await explain(what);
}

async function drawnFace() {
  const response = await fetch("/demo/face.png");
  await open(await response.blob(), "a drawn face");
}

function stopCamera() {
  camera += 1;
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  element("live").hidden = true;
}

async function startCamera() {
  stopCamera();
  const wish = camera;
  try {
    const granted = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    if (wish !== camera) {
      // Granted after it was given up.
      for (const track of granted.getTracks()) track.stop();
      return;
    }
    stream = granted;
  } catch (error) {
    if (wish === camera) say(`The camera can't be used: ${error.message}`, true);
    return;
  }
  element("video").srcObject = stream;
  element("live").hidden = false;
  await element("video").play();
  element("take").focus();
}

async function takePicture() {
  const video = element("video");
  choices += 1;
  draw(video, video.videoWidth, video.videoHeight);
  stopCamera();
  element("camera").focus();
  await explain("the camera's picture");
}

element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) open(file, file.name);
  event.target.value = "";
});
element("face").addEventListener("click", drawnFace);
element("camera").addEventListener("click", startCamera);
element("take").addEventListener("click", takePicture);
element("cancel").addEventListener("click", () => {
  stopCamera();
  element("camera").focus();
});
element("more").addEventListener("click", () =>
  expand(element("more").getAttribute("aria-expanded") !== "true"));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", name === "dragover");
    const [file] = name === "drop" ? event.dataTransfer.files : [];
    if (file) open(file, file.name);
  });
}
drawnFace();
