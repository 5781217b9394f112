/** The same call in other words, to paste into a shell or a program. */
export function callLines(call: { url: string; endpoint: string; project: string; body: string }) {
  const { url, endpoint, project, body } = call;
  const inShell = body.replaceAll("'", "'\\''");
  const base = url.replace(/\/(p\/[^/]+\/)?endpoints\/[^/]+\/predict$/, '');
  const inProject = project === 'default' ? '' : `, project: ${JSON.stringify(project)}`;
  return {
    curl: `curl -s '${url}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${inShell}'`,
    TypeScript: `import { createClient } from '@slipway/sdk';

const client = createClient({ url: '${location.origin}', inferenceUrl: '${base}'${inProject} });
console.log(await client.predict(${JSON.stringify(endpoint)}, ${body}));`,
    Python: `import json, urllib.request

body = ${JSON.stringify(body)}
request = urllib.request.Request(
    ${JSON.stringify(url)}, body.encode(), {"Content-Type": "application/json"})
print(json.load(urllib.request.urlopen(request)))`,
  };
}
