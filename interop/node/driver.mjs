// The real BullMQ on a leash: one JSON object per line in, one per line out.
//
//   in   {"seq": 1, "op": "add", "queue": "q", ..., "now": 1700000000000}
//   out  {"seq": 1, "ok": ...}   or   {"seq": 1, "error": {"name", "message", "code"}}
//
// Steps run one after the other; those in `waits` start in turn too, but then stay open beside the later ones. `now` stops BullMQ's
// clock for that step. The process ends when its input does.
//
// What BullMQ writes by itself: constructing a Queue writes `meta.version` and `meta["opts.maxLenEvents"]` some time
// later, which would blur a comparison. Queues are therefore made with `skipMetasUpdate`, unless a step says
// `"meta": true`, which also waits for the write. Workers and QueueEvents write nothing when constructed, but name
// their connections, and a running worker checks for stalled jobs at its start (`stalled-check`, and a trim of events).
import './clock.mjs';
import { createInterface } from 'node:readline';
import { setClock } from './clock.mjs';
import { Driver } from './ops.mjs';

const url = process.argv[2];
if (!url) {
  process.stderr.write('usage: node driver.mjs redis://host:port[/db]\n');
  process.exit(2);
}

const driver = new Driver(new URL(url));
const out = message => process.stdout.write(`${JSON.stringify(message, (_, v) => (v === undefined ? null : v))}\n`);

async function answer(step) {
  const { seq, op, now, ...args } = step;
  try {
    if (now !== undefined) setClock(now);
    out({ seq, ok: (await driver.run(op, args)) ?? null });
  } catch (error) {
    const { name, message, code } = error;
    out({ seq, error: { name, message, code: typeof code === 'number' ? code : null } });
  } finally {
    if (now !== undefined) setClock(null);
  }
}

let last = Promise.resolve();
const lines = createInterface({ input: process.stdin });
lines.on('line', line => {
  const step = JSON.parse(line);
  const done = last.then(() => answer(step));
  if (!driver.waits.has(step.op)) last = done;
});
lines.on('close', () => process.exit(0));
out({ seq: 0, ok: { node: process.version } });
