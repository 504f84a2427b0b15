/** How workers came to their decisions, summed over all of them since they started. */
export interface Decisions {
  memory: number;
  evaluation: number;
}

/** Reads claviger_policy_decisions of each worker's /metrics. */
export async function decisionsOf(healthUrls: string[]): Promise<Decisions> {
  const sum = { memory: 0, evaluation: 0 };
  for (const url of healthUrls) {
    const text = await (await fetch(`${url}/metrics`)).text();
    for (const [, by, count] of text.matchAll(/^claviger_policy_decisions(?:_total)?\{[^}]*by="(memory|evaluation)"[^}]*\} (\d+)/gm))
      sum[by as keyof Decisions] += Number(count);
  }
  return sum;
}
