/**
 * Times a variant: its loading, its first run and later runs, and the memory of the process.
 *
 * The job's first batch is run repeatedly, and nothing is written. As in `run.mjs`, no platform and no library is used
 * here: a host passes functions that start its libraries and measure memory.
 */

import { inputBuffers, readInputs, withExecutor } from './run.mjs';

/** @typedef {import('./run.mjs').Job} Job */
/** @typedef {import('./run.mjs').TimeRequest} TimeRequest */
/** @typedef {import('./run.mjs').Platform} Platform */
/** @typedef {import('./run.mjs').Executor} Executor */
/** @typedef {import('./run.mjs').OpenExecutor} OpenExecutor */

/**
 * `TimingPlan` of `quantlab/runtimes/exchange.py`.
 * @typedef {object} TimingPlan
 * @property {number} warm_up_seconds
 * @property {number} seconds
 * @property {number} most_seconds
 * @property {number} least_runs
 * @property {number} enough_runs
 * @property {number} most_runs
 */

/**
 * @typedef {object} Hosted
 * @property {(job: Job) => Promise<void>} prepare loads the format's library and starts its backend, without a variant
 * @property {() => PeakMemory | Promise<PeakMemory>} peakMemory
 */

/** @typedef {{ bytes: number, reason?: undefined } | { bytes: null, reason: string }} PeakMemory */

/** @typedef {Platform & Hosted} TimingPlatform */

/** @typedef {{ first_run_ms: number, runs_ms: number[] }} Runs */

/**
 * @typedef {object} Timed
 * @property {'timed'} type
 * @property {number} load_ms
 * @property {number} first_run_ms
 * @property {number[]} runs_ms
 * @property {number | null} idle_memory_bytes peak memory of the process before the variant was loaded
 * @property {number | null} peak_memory_bytes the same after the last run
 * @property {string | null} memory_reason why they are not known
 */

const HEARTBEAT_MS = 1000;

/**
 * Time a job's variant: the last message is `done` or `failed`, and before `done` comes `timed`.
 * @param {Pick<TimeRequest, 'job' | 'plan'>} asked
 * @param {Record<string, OpenExecutor>} executors by the name of the format
 * @param {TimingPlatform} platform
 */
export function timeVariant({ job, plan }, executors, platform) {
  let loadMs = 0;
  /** @type {PeakMemory} */
  let idle;
  /** @type {(open: OpenExecutor) => OpenExecutor} */
  const timed = (open) => async (given, host) => {
    await platform.prepare(given);
    idle = await platform.peakMemory();
    const began = platform.now();
    const executor = await open(given, host);
    loadMs = platform.now() - began;
    return executor;
  };
  const opening = Object.fromEntries(Object.entries(executors).map(([format, open]) => [format, timed(open)]));
  return withExecutor(job, opening, platform, async (_, executor) => {
    const runs = await runPlan(job, plan, executor, platform);
    const peak = await platform.peakMemory();
    platform.emit({
      type: 'timed',
      load_ms: loadMs,
      ...runs,
      idle_memory_bytes: idle.bytes,
      peak_memory_bytes: peak.bytes,
      memory_reason: peak.reason ?? null,
    });
  });
}

/** @type {(job: Job, plan: TimingPlan, executor: Executor, platform: Platform) => Promise<Runs>} */
async function runPlan(job, plan, executor, platform) {
  const inputs = await readInputs(job, inputBuffers(job), job.start, job.batch_size, platform);
  const run = heard(async () => (await executor.predict(inputs, job.batch_size)).seconds, job, platform);
  const { warm_up_seconds, most_runs } = plan;
  const first = await run();
  for (let warm = 0, done = 0; warm < warm_up_seconds && done < most_runs; done += 1) warm += await run();
  /** @type {number[]} */
  const runs = [];
  for (let spent = 0; goesOn(plan, runs.length, spent);) {
    const seconds = await run();
    spent += seconds;
    runs.push(seconds * 1000);
  }
  return { first_run_ms: first * 1000, runs_ms: runs };
}

/** @type {(plan: TimingPlan, count: number, spent: number) => boolean} */
function goesOn(plan, count, spent) {
  if (count >= plan.most_runs) return false;
  const enough = spent >= plan.seconds && count >= plan.enough_runs;
  return count < plan.least_runs || !(enough || spent >= plan.most_seconds);
}

/**
 * A run that sometimes reports progress, so that the parent does not time out.
 * @param {() => Promise<number>} run
 * @param {Job} job
 * @param {Platform} platform
 */
function heard(run, job, platform) {
  let said = platform.now();
  let done = 0;
  return async () => {
    const seconds = await run();
    done += 1;
    if (platform.now() - said > HEARTBEAT_MS) {
      said = platform.now();
      platform.emit({ type: 'progress', done, seconds, batch: job.batch_size });
    }
    return seconds;
  };
}
