// Things that happened, in order, and a way to wait for one of them without polling.
export class Record {
  #rows = [];
  #waiting = new Set();

  push(event, fields = {}) {
    this.#rows.push({ event, ...fields });
    for (const check of [...this.#waiting]) check();
  }

  rows() {
    return this.#rows;
  }

  /** Resolves with the rows that match as soon as there are `count` of them; rejects after `timeout` ms. */
  wait({ event, jobId, count = 1, timeout = 60_000 }) {
    const match = row => (event === undefined || row.event === event) && (jobId === undefined || row.jobId === jobId);
    return new Promise((resolve, reject) => {
      const check = () => {
        const hits = this.#rows.filter(match);
        if (hits.length < count) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(hits);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        const seen = this.#rows.map(row => `${row.event}:${row.jobId ?? ''}`).join(' ');
        reject(new Error(`waited ${timeout} ms for ${count} x ${event ?? 'any'} ${jobId ?? ''}; seen: ${seen}`));
      }, timeout);
      this.#waiting.add(check);
      check();
    });
  }
}
