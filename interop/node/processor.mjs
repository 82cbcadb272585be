// A worker's processor written as data: a list of steps, chosen by job name.
//
//   { "byName": { "mail": [ ... ] }, "default": [ ... ] }
//
//   {"progress": value}   {"log": "row"}   {"updateData": value}
//   {"hold": true}        wait until a `tell` for this job; what it carries, if anything, replaces the steps that are left
//   {"pause": ms}         really pass that time
//   {"block": ms}         keep the process's only thread busy: no timer and no lock renewal runs
//   {"delayUntil": ms}    move the job to delayed (absolute time) and say so to the worker
//   {"waitChildren": true}  move to waiting-children if there are pending ones
//   {"rateLimit": ms}     limit the queue and put the job back
//   {"throw": {message, name?, unrecoverable?, stack?}}
//   {"complete": value}   return it          {"echo": true}   return the job's data
import { DelayedError, UnrecoverableError, WaitingChildrenError, Worker } from 'bullmq';

/** An Error with exactly the stack that is asked for, so that nothing of this machine gets into the database. */
export function makeError({ message = 'failed', name, unrecoverable = false, stack } = {}) {
  const error = unrecoverable ? new UnrecoverableError(message) : new Error(message);
  if (name) error.name = name;
  error.stack = stack ?? `${error.name}: ${message}`;
  return error;
}

function busy(ms) {
  const end = process.hrtime.bigint() + BigInt(ms) * 1_000_000n;
  while (process.hrtime.bigint() < end);
}

export class Script {
  #held = new Map();

  constructor(plan, queue) {
    this.plan = plan ?? {};
    this.queue = queue;
  }

  tell(jobId, steps) {
    const resume = this.#held.get(jobId);
    if (!resume) throw new Error(`no job ${jobId} is held here; held: ${[...this.#held.keys()]}`);
    this.#held.delete(jobId);
    resume(steps);
  }

  async run(job, token) {
    let steps = [...(this.plan.byName?.[job.name] ?? this.plan.default ?? [{ complete: null }])];
    while (steps.length > 0) {
      const step = steps.shift();
      if ('complete' in step) return step.complete;
      if ('echo' in step) return job.data;
      if ('throw' in step) throw makeError(step.throw);
      if ('hold' in step) steps = (await new Promise(resume => this.#held.set(job.id, resume))) ?? steps;
      else await this.#act(step, job, token);
    }
    return null;
  }

  async #act(step, job, token) {
    if ('progress' in step) return job.updateProgress(step.progress);
    if ('log' in step) return job.log(step.log);
    if ('updateData' in step) return job.updateData(step.updateData);
    if ('pause' in step) return new Promise(resolve => setTimeout(resolve, step.pause));
    if ('block' in step) return busy(step.block);
    if ('delayUntil' in step) {
      await job.moveToDelayed(step.delayUntil, token);
      throw new DelayedError();
    }
    if ('waitChildren' in step) {
      if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
      return undefined;
    }
    if ('rateLimit' in step) {
      await this.queue.rateLimit(step.rateLimit);
      throw Worker.RateLimitError();
    }
    throw new Error(`unknown processor step ${JSON.stringify(step)}`);
  }
}
