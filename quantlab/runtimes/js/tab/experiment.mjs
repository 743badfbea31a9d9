/**
 * Runs the reference and every variant in every chosen runtime, and scores them. What runs a model is handed in, so
 * that tests need no library.
 */

import { secondsLeft } from './estimate.mjs';
import { scoreReference, scoreRow, taskOf } from './statistics.mjs';
import { isQuantized } from './trials.mjs';

/** @typedef {import('./types.mjs').Artifact} Artifact */
/** @typedef {import('./types.mjs').Samples} Samples */
/** @typedef {import('./types.mjs').Tensor} Tensor */
/** @typedef {import('./trials.mjs').Trial} Trial */
/** @typedef {import('./trials.mjs').Measured} Measured */
/** @typedef {import('./statistics.mjs').Row} Row */
/** @typedef {import('./measure.mjs').Measured} Run */
/** @typedef {import('./measure.mjs').Backend} Backend */
/**
 * @typedef {object} Running
 * @property {Backend} backend
 * @property {number} batchSize
 * @property {(done: number, of: number) => void} onProgress
 * @property {AbortSignal} signal
 */

/**
 * @typedef {object} Engine
 * @property {(artifact: Artifact, setting: string) => Promise<Artifact>} makeVariant
 * @property {(artifact: Artifact) => Promise<{ gzip: number, bytes: number }>} downloadBytes
 * @property {(artifact: Artifact, samples: Samples, running: Running) => Promise<Run>} measure
 * @property {(float: Artifact, variant: Artifact, samples: Samples, running: Omit<Running, 'batchSize'>
 *   & { count: number }) => Promise<any[]>} compareLayers
 * @property {(backend: Backend) => string} runtimeOf name of the runtime
 */

/**
 * @typedef {object} Plan
 * @property {Artifact} artifact the reference
 * @property {Artifact[]} given variants that were dropped, too
 * @property {Samples} samples
 * @property {string[]} settings
 * @property {Backend[]} backends
 * @property {Backend[]} references backends for the reference: the first that can run it
 * @property {number} batchSize
 * @property {number} layerSamples how many samples the layers are compared on; 0 for none
 */

/** @typedef {{ setting: string, backend: Backend, rows: any[], reason: string | null }} Layers */
/** @typedef {{ measured: Measured, layers: Layers[], referenceRun: Run, referenceBackend: Backend }} Result */
/** @typedef {(what: string, share: number, left: number | null) => void} Tell */

/** The visitor pressed the button. */
export class Stopped extends Error {
  name = 'Stopped';
}

/** Keeps the time of steps. */
class Steps {
  /** @type {{ kind: string, seconds: number }[]} */
  finished = [];

  /**
   * @param {string[]} waiting kinds of all steps
   * @param {Tell} tell
   * @param {AbortSignal} signal
   */
  constructor(waiting, tell, signal) {
    Object.assign(this, { waiting: [...waiting], all: waiting.length, tell, signal });
  }

  /** @type {string[]} */ waiting = [];
  /** @type {number} */ all = 0;
  /** @type {Tell} */ tell = () => {};
  /** @type {AbortSignal} */ signal = new AbortController().signal;

  /**
   * @template T
   * @param {string} kind
   * @param {string} words what is done
   * @param {(onProgress: (done: number, of: number) => void) => Promise<T>} work
   * @returns {Promise<T>}
   */
  async run(kind, words, work) {
    if (this.signal.aborted) throw new Stopped();
    const begun = performance.now();
    const place = this.waiting.indexOf(kind);
    if (place >= 0) this.waiting.splice(place, 1);
    const seconds = () => (performance.now() - begun) / 1000;
    const told = (/** @type {number} */ done, /** @type {number} */ of) => {
      const share = of ? done / of : 0;
      const course = { finished: this.finished, current: { kind, seconds: seconds(), share }, waiting: this.waiting };
      this.tell(words, Math.min(1, (this.finished.length + share) / this.all), secondsLeft(course));
    };
    told(0, 1);
    try {
      return await work(told);
    } catch (error) {
      if (this.signal.aborted) throw new Stopped();
      throw error;
    } finally {
      this.finished.push({ kind, seconds: seconds() });
    }
  }
}

/**
 * Run everything. A failure of one variant, or in one runtime, is a row; if it is stopped, what was measured is
 * returned.
 * @param {Engine} engine
 * @param {Plan} plan
 * @param {Tell} tell
 * @param {AbortSignal} signal
 * @returns {Promise<Result>}
 * @throws {Error} if the reference runs nowhere, or the run is stopped before it has
 */
export async function runExperiment(engine, plan, tell, signal) {
  const names = [...plan.settings, ...plan.given.map(({ setting }) => setting)];
  const compared = plan.layerSamples ? plan.settings.filter((name) => isQuantized({ setting: name })) : [];
  const steps = new Steps([
    'reference', ...names.flatMap(() => plan.backends), ...compared.map(() => 'layers'),
  ], tell, signal);
  const [referenceBackend, referenceRun] = await runReference(engine, plan, steps, signal);
  const { labels } = plan.samples;
  const task = taskOf(labels);
  const expected = scoredOutput(plan.artifact, referenceRun);
  const { gzip } = await engine.downloadBytes(plan.artifact);
  const measured = {
    artifact: plan.artifact, gzip, reference: scoreReference(expected, labels, task), task,
    trials: /** @type {Trial[]} */ ([]), stopped: false,
  };
  const layers = /** @type {Layers[]} */ ([]);
  try {
    const variants = await measureVariants({ engine, plan, steps, signal }, measured.trials, (outputs) => scoreRow(
      expected, outputs, labels, task, plan.samples.classNames ?? undefined));
    for (const setting of compared) {
      const variant = variants.get(setting);
      if (variant) layers.push(await layersOf({ engine, plan, steps, signal }, variant, referenceBackend));
    }
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    measured.stopped = true;
  }
  return { measured, layers, referenceRun, referenceBackend };
}

/** @typedef {{ engine: Engine, plan: Plan, steps: Steps, signal: AbortSignal }} Work */

/** The output that is scored: the first. @type {(artifact: Artifact, run: Run) => Tensor} */
export function scoredOutput({ outputs }, run) {
  return /** @type {Tensor} */ (run.outputs.get(outputs[0]?.name) ?? [...run.outputs.values()][0]);
}

/** @type {(engine: Engine, plan: Plan, steps: Steps, signal: AbortSignal) => Promise<[Backend, Run]>} */
async function runReference(engine, { artifact, samples, references, batchSize }, steps, signal) {
  return steps.run('reference', `Running the reference, ${artifact.name}`, async (onProgress) => {
    /** @type {string[]} */
    const reasons = [];
    for (const backend of references) {
      try {
        return [backend, await engine.measure(artifact, samples, { backend, batchSize, onProgress, signal })];
      } catch (error) {
        if (signal.aborted) throw error;
        reasons.push(messageOf(error));
      }
    }
    throw new Error([...new Set(reasons)].join('; '));
  });
}

/**
 * @type {(work: Work, trials: Trial[], score: (outputs: Tensor) => Row)
 *   => Promise<Map<string, Artifact>>}
 */
async function measureVariants({ engine, plan, steps, signal }, trials, score) {
  const made = new Map();
  for (const setting of [...plan.settings, ...plan.given]) {
    const name = typeof setting === 'string' ? setting : setting.setting;
    try {
      const variant = typeof setting === 'string' ? await engine.makeVariant(plan.artifact, setting) : setting;
      made.set(name, variant);
      const { gzip } = await engine.downloadBytes(variant);
      for (const backend of plan.backends) {
        trials.push(await measureOne({ engine, plan, steps, signal }, { variant, name, gzip, backend }, score));
      }
    } catch (error) {
      if (error instanceof Stopped || signal.aborted) throw new Stopped();
      trials.push({ ...emptyTrial(name, '', ''), reason: messageOf(error) });
    }
  }
  return made;
}

/**
 * @type {(work: Work, one: { variant: Artifact, name: string, gzip: number, backend: Backend },
 *   score: (outputs: Tensor) => Row) => Promise<Trial>}
 */
async function measureOne({ engine, plan, steps, signal }, { variant, name, gzip, backend }, score) {
  const runtime = engine.runtimeOf(backend);
  const trial = { ...emptyTrial(name, runtime, backend), artifact: variant, gzip };
  try {
    const own = await steps.run(backend, `Running ${name} in ${runtime}`, (onProgress) => engine.measure(
      variant, samplesFor(variant, plan), { backend, batchSize: plan.batchSize, onProgress, signal }));
    const run = renamed(own, variant, plan.artifact);
    const { outputs, environment, ranOn, notes } = run;
    const milliseconds = run.timed && run.timedSamples ? 1000 * run.seconds / run.timedSamples : null;
    const row = score(scoredOutput(plan.artifact, run));
    return { ...trial, row, run, outputs, environment, ranOn, milliseconds, notes };
  } catch (error) {
    if (error instanceof Stopped) throw error;
    return { ...trial, reason: messageOf(error) };
  }
}

/**
 * The samples under the names of a variant's inputs. Given files may name them otherwise; they are matched by order.
 * @type {(variant: Artifact, plan: Plan) => Samples}
 */
function samplesFor(variant, { artifact, samples }) {
  const [names, own] = [artifact, variant].map(({ inputs }) => inputs.map(({ name }) => name));
  if (names.length !== own.length) {
    throw new Error(`it takes ${own.length} inputs, and ${artifact.name} takes ${names.length}; drop another export of `
      + 'the same model');
  }
  if (own.every((name) => samples.inputs.has(name))) return samples;
  const inputs = new Map(own.map((name, place) => [name, /** @type {Tensor} */ (samples.inputs.get(names[place]))]));
  return { ...samples, inputs };
}

/**
 * The outputs of a variant under the names of the reference's, by order.
 * @type {(run: Run, variant: Artifact, artifact: Artifact) => Run}
 */
function renamed(run, variant, artifact) {
  const [own, names] = [variant, artifact].map(({ outputs }) => outputs.map(({ name }) => name));
  if (own.length !== names.length) {
    throw new Error(`it gives ${own.length} outputs, and ${artifact.name} gives ${names.length}; drop another export of `
      + 'the same model');
  }
  const outputs = new Map(own.map((name, place) => [names[place], /** @type {Tensor} */ (run.outputs.get(name))]));
  return { ...run, outputs };
}

/** @type {(setting: string, runtime: string, backend: string) => Trial} */
function emptyTrial(setting, runtime, backend) {
  return {
    setting, runtime, backend, artifact: null, gzip: null, row: null, reason: null, outputs: null, environment: {},
    ranOn: null, run: null, milliseconds: null, notes: [],
  };
}

/** @type {(work: Work, variant: Artifact, backend: Backend) => Promise<Layers>} */
async function layersOf({ engine, plan, steps, signal }, variant, backend) {
  const { setting } = variant;
  try {
    const rows = await steps.run('layers', `Comparing the layers of ${setting}`, (onProgress) => engine.compareLayers(
      plan.artifact, variant, plan.samples, { backend, count: plan.layerSamples, onProgress, signal }));
    return { setting, backend, rows, reason: null };
  } catch (error) {
    if (error instanceof Stopped) throw error;
    return { setting, backend, rows: [], reason: messageOf(error) };
  }
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
