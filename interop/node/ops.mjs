// What a step can ask for. Most go through BullMQ's public classes; `backend` reaches the scripts one by one.
import { FlowProducer, Job, Queue, QueueEvents, Worker } from 'bullmq';
import { makeError, Script } from './processor.mjs';
import { Record } from './record.mjs';

const WORKER_EVENTS = ['active', 'completed', 'failed', 'progress', 'stalled', 'drained', 'lockRenewalFailed', 'locksRenewed'];
const QUEUE_EVENTS = ['added', 'waiting', 'delayed', 'waiting-children', 'active', 'progress', 'completed', 'failed',
  'retries-exhausted', 'stalled', 'removed', 'duplicated', 'deduplicated', 'cleaned', 'paused', 'resumed', 'drained'];

/** A job, a list or a tree of jobs as plain data. */
function plain(value) {
  if (value instanceof Job) {
    const { id, name, data, opts, progress, returnvalue, failedReason, stacktrace, attemptsMade, attemptsStarted,
      stalledCounter, delay, priority, timestamp, processedOn, finishedOn, processedBy, parentKey, parent, repeatJobKey,
      deduplicationId, deferredFailure } = value;
    return { id, name, data, opts, progress, returnvalue, failedReason, stacktrace, attemptsMade, attemptsStarted,
      stalledCounter, delay, priority, timestamp, processedOn, finishedOn, processedBy, parentKey, parent, repeatJobKey,
      deduplicationId, deferredFailure };
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value?.job instanceof Job) return { job: plain(value.job), children: (value.children ?? []).map(plain) };
  return value;
}

function takenKey({ prefix = 'bull', queue }, id, token = '') {
  return `${prefix}:${queue}:${id} ${token}`;
}

export class Driver {
  waits = new Set(['worker.wait', 'events.wait', 'waitUntilFinished']);
  #open = new Map();
  #taken = new Map();
  #running = new Map();
  #events = new Map();

  constructor(url) {
    this.connection = {
      host: url.hostname,
      port: Number(url.port || 6379),
      db: Number(url.pathname.slice(1) || 0),
      maxRetriesPerRequest: null,
    };
  }

  async run(op, args) {
    const act = this.#ops[op];
    if (!act) throw new Error(`unknown op ${op}; known: ${Object.keys(this.#ops).join(' ')}`);
    return plain(await act(args));
  }

  async #once(kind, spec, make) {
    const key = `${kind} ${JSON.stringify(spec)}`;
    if (!this.#open.has(key)) {
      const made = make();
      made.on?.('error', error => process.stderr.write(`bullmq ${kind}: ${error.message}\n`));
      this.#open.set(key, made);
    }
    return this.#open.get(key);
  }

  async #queue({ queue, prefix = 'bull', meta = false, queueOpts = {} }) {
    const made = await this.#once('queue', { queue, prefix, meta, queueOpts }, () =>
      new Queue(queue, { connection: this.connection, prefix, skipMetasUpdate: !meta, ...queueOpts }));
    await made.waitUntilReady();
    if (meta) await made.queueMetaInitialized;
    return made;
  }

  /** A worker without a processor, to take and settle by hand; `worker` holds its options. */
  async #hand({ queue, prefix = 'bull', worker = {} }) {
    const made = await this.#once('worker', { queue, prefix, worker }, () =>
      new Worker(queue, null, { connection: this.connection, prefix, autorun: false, ...worker }));
    await made.waitUntilReady();
    return made;
  }

  /**
   * The job as its worker sees it: the one taken before with this token (it keeps the worker options it was taken with),
   * without a token the one taken last, or read afresh. A job taken twice is two: each remembers its own failures.
   */
  async #held(args) {
    const job = this.#taken.get(takenKey(args, args.id, args.token)) ?? (await Job.fromId(await this.#hand(args), args.id));
    // A missing job still reaches the script, which is what answers -1.
    return job ?? new Job(await this.#hand(args), 'missing', {}, {}, args.id);
  }

  /** The job read afresh by a queue; a missing one still reaches the script. */
  async #fresh(args) {
    const queue = await this.#queue(args);
    return (await Job.fromId(queue, args.id)) ?? new Job(queue, 'missing', {}, {}, args.id);
  }

  async #job(args) {
    const job = await Job.fromId(await this.#queue(args), args.id);
    if (!job) throw new Error(`no job ${args.id}`);
    return job;
  }

  #take(args, job) {
    if (job) {
      this.#taken.set(takenKey(args, job.id, args.token), job);
      this.#taken.set(takenKey(args, job.id), job);
    }
    return job ?? null;
  }

  /** What a script handed out: [fields, id, rateLimitDelay, delayUntil], or nothing. */
  async #tuple(args, result) {
    if (!Array.isArray(result)) return result ?? null;
    const [fields, id, limit, until] = result;
    if (!fields) return { job: null, rateLimitDelay: limit, delayUntil: until };
    const job = this.#take(args, Job.fromJSON(await this.#hand(args), fields, id));
    return { job: plain(job), rateLimitDelay: limit, delayUntil: until };
  }

  #worker(name) {
    const found = this.#running.get(name);
    if (!found) throw new Error(`no worker called ${name}`);
    return found;
  }

  #listen(name) {
    const found = this.#events.get(name);
    if (!found) throw new Error(`no queue events called ${name}`);
    return found;
  }

  #ops = {
    ping: async () => 'pong',
    add: async a => (await this.#queue(a)).add(a.name, a.data, a.opts),
    addBulk: async a => (await this.#queue(a)).addBulk(a.jobs),
    flow: async a => {
      const { prefix = 'bull', flowOpts } = a;
      const producer = await this.#once('flow', { prefix }, () => new FlowProducer({ connection: this.connection, prefix }));
      return producer.add(a.flow, flowOpts);
    },

    // Taking and settling by hand, with a token.
    getNextJob: async a => this.#take(a, await (await this.#hand(a)).getNextJob(a.token, { block: a.block ?? false })),
    fetch: async a => this.#tuple(a, await (await this.#hand(a)).backend.moveToActive(a.token, a.worker?.name)),
    moveToCompleted: async a => this.#tuple(a, await (await this.#held(a)).moveToCompleted(a.value, a.token, a.fetchNext ?? false)),
    moveToFailed: async a => this.#tuple(a, await (await this.#held(a)).moveToFailed(makeError(a.error), a.token, a.fetchNext ?? false)),
    retry: async a => (await this.#hand(a)).backend.retryJob(a.id, a.lifo ?? false, a.token, { fieldsToUpdate: a.fields }),
    moveToDelayed: async a => (await this.#held(a)).moveToDelayed(a.timestamp, a.token),
    moveToWait: async a => (await this.#held(a)).moveToWait(a.token),
    moveToWaitingChildren: async a => (await this.#held(a)).moveToWaitingChildren(a.token, a.child ? { child: a.child } : {}),
    extendLock: async a => (await this.#held(a)).extendLock(a.token, a.duration),
    extendLocks: async a => (await this.#hand(a)).extendJobLocks(a.ids, a.tokens, a.duration),
    moveStalledJobsToWait: async a => (await this.#hand(a)).backend.moveStalledJobsToWait(),

    // Reading.
    getJob: async a => (await Job.fromId(await this.#queue(a), a.id)) ?? null,
    getState: async a => (await this.#queue(a)).getJobState(a.id),
    getJobs: async a => (await this.#queue(a)).getJobs(a.types, a.start ?? 0, a.end ?? -1, a.asc ?? false),
    counts: async a => (await this.#queue(a)).getJobCounts(...(a.types ?? [])),
    logs: async a => (await this.#queue(a)).getJobLogs(a.id),

    // The whole queue.
    pause: async a => (await this.#queue(a)).pause(),
    resume: async a => (await this.#queue(a)).resume(),
    setGlobalConcurrency: async a => (await this.#queue(a)).setGlobalConcurrency(a.concurrency),
    removeGlobalConcurrency: async a => (await this.#queue(a)).removeGlobalConcurrency(),
    setGlobalRateLimit: async a => (await this.#queue(a)).setGlobalRateLimit(a.max, a.duration),
    removeGlobalRateLimit: async a => (await this.#queue(a)).removeGlobalRateLimit(),
    rateLimit: async a => (await this.#queue(a)).rateLimit(a.ms),

    // Anything else by its name in BullMQ: a method of Queue, of Job (read afresh; `fresh` may be missing), of the taken Job, of
    // the scripts.
    'queue': async a => (await this.#queue(a))[a.method](...(a.args ?? [])),
    'job': async a => (await this.#job(a))[a.method](...(a.args ?? [])),
    'fresh': async a => (await this.#fresh(a))[a.method](...(a.args ?? [])),
    'taken': async a => (await this.#held(a))[a.method](...(a.args ?? [])),
    'backend': async a => (await this.#hand(a)).backend[a.method](...(a.args ?? [])),

    // A running worker, with a processor written as data (processor.mjs) and its events kept.
    'worker.start': async a => {
      const script = new Script(a.processor, await this.#queue(a));
      const seen = new Record();
      const worker = new Worker(a.queue, (job, token) => script.run(job, token), {
        connection: this.connection, prefix: a.prefix ?? 'bull', ...a.worker,
      });
      for (const event of WORKER_EVENTS) {
        worker.on(event, (...found) => {
          const job = found.find(x => x instanceof Job);
          const list = found.find(Array.isArray);
          const reason = found.find(x => x instanceof Error)?.message;
          seen.push(event, { jobId: job?.id ?? found.find(x => typeof x === 'string'), reason, ids: list, value: job?.returnvalue });
        });
      }
      worker.on('error', error => seen.push('error', { reason: error.message }));
      this.#running.set(a.as, { worker, script, seen });
      await worker.waitUntilReady();
    },
    'worker.tell': async a => this.#worker(a.as).script.tell(a.id, a.steps),
    'worker.wait': async a => this.#worker(a.as).seen.wait(a),
    'worker.seen': async a => this.#worker(a.as).seen.rows(),
    'worker.call': async a => this.#worker(a.as).worker[a.method](...(a.args ?? [])),
    'worker.stop': async a => {
      await this.#worker(a.as).worker.close(a.force ?? false);
      this.#running.delete(a.as);
    },

    // A recording of QueueEvents, from the beginning of the stream unless `from` says otherwise.
    'events.start': async a => {
      const events = new QueueEvents(a.queue, { connection: this.connection, prefix: a.prefix ?? 'bull', lastEventId: a.from ?? '0' });
      const seen = new Record();
      for (const event of QUEUE_EVENTS) events.on(event, (...found) => seen.push(event, typeof found[0] === 'object' ? found[0] : {}));
      events.on('error', error => seen.push('error', { reason: error.message }));
      this.#events.set(a.as, { events, seen });
      await events.waitUntilReady();
    },
    'events.wait': async a => this.#listen(a.as).seen.wait(a),
    'events.seen': async a => this.#listen(a.as).seen.rows(),
    'events.stop': async a => {
      await this.#listen(a.as).events.close();
      this.#events.delete(a.as);
    },
    waitUntilFinished: async a => (await this.#job(a)).waitUntilFinished(this.#listen(a.as).events, a.timeout ?? 60_000),

    close: async () => {
      for (const { worker } of this.#running.values()) await worker.close(true);
      for (const { events } of this.#events.values()) await events.close();
      for (const made of this.#open.values()) await made.close();
      for (const kept of [this.#running, this.#events, this.#open, this.#taken]) kept.clear();
    },
  };
}
