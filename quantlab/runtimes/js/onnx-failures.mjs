/** Converts errors of ONNX Runtime to sentences that name the op, the node and a solution. */

import { JobError } from './run.mjs';

/**
 * Data for a sentence that are not in ONNX Runtime's error.
 * @typedef {{ file: Uint8Array, runtime: string }} Place
 */

/**
 * A node of a file's graph; its name may be empty.
 * @typedef {{ name: string, op: string, domain: string, output: string }} Node
 */

const AGAIN = 'convert the model again';
const WITH_FILES = 'copy the model again, with all files that belong to it';

/** @typedef {{ pattern: RegExp, say: (groups: string[], place: Place) => JobError }} Sentence */

const SENTENCES = Object.freeze(/** @type {Sentence[]} */ ([
  {
    pattern: /Could not find an implementation for (\w+)\((\d+)\) node with name '([^']*)'/,
    say: ([op, opset, node], { file, runtime }) => new JobError(`ONNX Runtime in ${runtime} lacks the op '${op}' of `
      + `opset ${opset} for the dtypes that ${node ? `node '${node}'` : nodeOf(file, op)} gives it`, op),
  },
  {
    pattern: /([^\s:]*):(\w+)\(-?\d+\) is not a registered function\/op/,
    say: ([domain, op], { file, runtime }) => new JobError(`ONNX Runtime in ${runtime} lacks the op '${op}' of the `
      + `domain '${domain}', which ${nodeOf(file, op)} needs; export the model with ops of ONNX's own`, op),
  },
  {
    pattern: /No Op registered for (\w+) with domain_version of (\d+)/,
    say: ([op, opset], { file }) => new JobError(`opset ${opset} has no op '${op}', which ${nodeOf(file, op)} needs; `
      + "export the model with ops of ONNX's own", op),
  },
  {
    pattern: /Opset (\d+) is under development.*support for domain (\S+) is till opset (\d+)/s,
    say: ([opset, domain, latest], { runtime }) => new JobError(`the file is of opset ${opset} of '${domain}', and `
      + `ONNX Runtime in ${runtime} knows those up to ${latest}; convert the model with an older opset`),
  },
  {
    pattern: /Unsupported model IR version: (\d+), max supported IR version: (\d+)/,
    say: ([version, latest], { runtime }) => new JobError(`the file is of ONNX's IR version ${version}, and ONNX `
      + `Runtime in ${runtime} knows those up to ${latest}; write it with an older onnx`),
  },
  {
    pattern: /protobuf parsing failed|No graph was found in the protobuf|Model data pointer is null/,
    say: () => new JobError(`the file is no ONNX model, or was cut short; ${AGAIN}`),
  },
  {
    pattern: /external data file "*([^"]*?)"*, error: Out of bounds/,
    say: ([path]) => new JobError(`the model's external data '${path}' are cut short; ${WITH_FILES}`),
  },
  {
    // onnxruntime-node names only the tensor.
    pattern: /External initializer: (.*) offset: .* are out of bounds/,
    say: ([tensor]) => new JobError(`the external data of the tensor '${tensor}' are cut short; ${WITH_FILES}`),
  },
  {
    pattern: /external data file "*([^"]*?)"*, error: |External file: (.*) not found from the table user provided/,
    say: ([inWeb, inNode]) => new JobError(`the model's external data '${inWeb ?? inNode}' are missing; ${WITH_FILES}`),
  },
  {
    pattern: /[Uu]nsupported data type: (\d+)/,
    say: ([number]) => new JobError(`the file has inputs or outputs of ONNX's data type ${number}, which JavaScript `
      + 'has no tensors for; convert the model with float32 inputs and outputs, or run this file in python only'),
  },
]));

/**
 * Why a file was not loaded.
 * @param {unknown} error what ONNX Runtime threw
 * @param {Uint8Array} file the model
 * @param {string} runtime `node-wasm`
 * @returns {JobError}
 */
export function loadFailure(error, file, runtime) {
  const text = textOf(error);
  if (OUT_OF_MEMORY.test(text)) return memoryFailure(text, runtime);
  for (const { pattern, say } of SENTENCES) {
    const match = pattern.exec(text);
    if (match) return say(match.slice(1), { file, runtime });
  }
  return new JobError(`ONNX Runtime could not load the file (${text}); if it runs in python, leave ${runtime} out for `
    + `this setting, and otherwise ${AGAIN}`);
}

/**
 * Why a model did not run, without details that do not help the user.
 * @param {unknown} error what ONNX Runtime threw
 * @param {string} runtime `node-wasm`
 */
export function runFailure(error, runtime) {
  const text = textOf(error);
  return OUT_OF_MEMORY.test(text) ? memoryFailure(text, runtime) : new Error(text, { cause: error });
}

const OUT_OF_MEMORY = /std::bad_alloc|failed to allocate|without a message/i;

/** @type {(text: string, runtime: string) => JobError} */
function memoryFailure(text, runtime) {
  return new JobError(`memory ran out in ONNX Runtime (${text}), and its WebAssembly has 4 GB at most; leave `
    + `${runtime} out with --runtimes`);
}

/** @param {unknown} error */
function textOf(error) {
  // An uncaught C++ exception arrives as its memory address.
  if (!(error instanceof Error)) return `it ended without a message (${error}), probably because memory ran out`;
  return error.message
    .replace(/^.* ERROR_CODE: \d+, ERROR_MESSAGE: /, '')
    // Remove the position in ONNX Runtime's source, and the function's name or signature.
    .replace(/\S+\.(?:cc|h):\d+ (?:\w+ (?=[A-Z])|.*?\) (?=\S))/, '')
    .trim()
    .replace(/\.$/, '');
}

/** @type {(file: Uint8Array, op: string) => string} */
function nodeOf(file, op) {
  const node = nodesIn(file).find((inFile) => inFile.op === op);
  if (!node) return 'a node inside another';
  return node.name ? `node '${node.name}'` : `the node of '${node.output}'`;
}

/** Field numbers of ONNX's messages. */
const MODEL_GRAPH = 7;
const GRAPH_NODE = 1;
const NODE = Object.freeze({ output: 2, name: 3, op: 4, domain: 7 });

/**
 * The nodes of a model's graph, without those of subgraphs.
 * @param {Uint8Array} file
 * @returns {Node[]}
 */
function nodesIn(file) {
  const graphs = chunksOf(file).filter(({ field }) => field === MODEL_GRAPH);
  const nodes = graphs.flatMap(({ bytes }) => chunksOf(bytes).filter(({ field }) => field === GRAPH_NODE));
  return nodes.map(({ bytes }) => {
    const chunks = chunksOf(bytes);
    const text = (/** @type {number} */ field) => (
      new TextDecoder().decode(chunks.find((chunk) => chunk.field === field)?.bytes));
    return { name: text(NODE.name), op: text(NODE.op), domain: text(NODE.domain), output: text(NODE.output) };
  });
}

/** Wire types of protobuf with a fixed size → bytes. */
const FIXED_BYTES = Object.freeze(/** @type {Record<number, number>} */ ({ 1: 8, 5: 4 }));

/**
 * Yield the fields of a protobuf message that hold bytes: strings and messages.
 * @param {Uint8Array} message
 */
function chunksOf(message) {
  const chunks = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; at < message.length; scale *= 128) {
      const byte = message[at++];
      value += (byte & 127) * scale;
      if (byte < 128) break;
    }
    return value;
  };
  while (at < message.length) {
    const tag = varint();
    const type = tag % 8;
    // A value (wire type 0), or the length of the bytes that follow (2).
    const size = FIXED_BYTES[type] ?? varint();
    if (type === 2) chunks.push({ field: Math.floor(tag / 8), bytes: message.subarray(at, at + size) });
    if (type !== 0) at += size;
  }
  return chunks;
}
