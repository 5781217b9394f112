/**
 * The metrics of all gateways as one Prometheus text: each sample says by the label `gateway` whose it is, and each name is described
 * once, as the format demands.
 */
export function joinGatewayMetrics(
  gateways: readonly { readonly instance: string; readonly metricsText: string }[],
): string {
  const families = new Map<string, { readonly about: string[]; readonly samples: string[] }>();
  for (const { instance, metricsText } of gateways) {
    let family: { readonly about: string[]; readonly samples: string[] } | undefined;
    let isNew = false;
    for (const line of metricsText.split('\n')) {
      const name = /^# HELP (\S+)/.exec(line)?.[1];
      if (name !== undefined) {
        isNew = !families.has(name);
        family = families.get(name) ?? { about: [], samples: [] };
        families.set(name, family);
      }
      if (line.startsWith('#')) {
        if (isNew) family?.about.push(line);
      } else if (line !== '') family?.samples.push(labelled(line, instance));
    }
  }
  return [...families.values()].map(({ about, samples }) => `${[...about, ...samples].join('\n')}\n`).join('');
}

/** `name value` or `name{labels} value`, with the label in front. */
function labelled(sample: string, instance: string): string {
  const end = sample.search(/[{ ]/);
  const rest = sample[end] === '{' ? `,${sample.slice(end + 1)}` : `}${sample.slice(end)}`;
  return `${sample.slice(0, end)}{gateway="${instance}"${rest}`;
}
