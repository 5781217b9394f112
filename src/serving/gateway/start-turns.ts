/** Lets at most so many versions load at one time: a hundred at once would starve one another until their load limits pass. */
export type StartTurns = {
  /**
   * Calls `begin` when it is its turn, at once if one is free. The turn is over when `end` is called; calling it again, or
   * before the turn came, is fine.
   */
  take(begin: () => void): { end(): void };
};

export function createStartTurns(limit: number): StartTurns {
  const waiting: { begin: () => void }[] = [];
  let running = 0;

  const next = (): void => {
    while (running < limit && waiting.length > 0) {
      running++;
      waiting.shift()!.begin();
    }
  };

  return {
    take(begin) {
      let state: 'waiting' | 'running' | 'over' = 'waiting';
      const turn = {
        begin: () => {
          state = 'running';
          begin();
        },
      };
      waiting.push(turn);
      next();
      return {
        end() {
          if (state === 'waiting') waiting.splice(waiting.indexOf(turn), 1);
          if (state === 'running') running--;
          state = 'over';
          next();
        },
      };
    },
  };
}
