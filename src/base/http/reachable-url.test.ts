import { describe, expect, test } from 'vitest';
import { reachableUrl } from './reachable-url.ts';

describe('an announced URL', () => {
  test.each([
    ['http://127.0.0.1:8080', '0.0.0.0', '10.0.0.7:8082', 'http://10.0.0.7:8080'],
    ['http://[::1]:8080', '::', 'models.example.com:8082', 'http://models.example.com:8080'],
    ['http://[::1]:8080', '[::]', '[fd00::7]:8082', 'http://[fd00::7]:8080'],
    ['http://0.0.0.0:8080', '0.0.0.0', 'localhost', 'http://localhost:8080'],
    ['http://[::]:8080', '::', '127.0.0.1:8082', 'http://127.0.0.1:8080'],
    ['http://127.0.0.1:1/p/eu/endpoints/x/predict', '0.0.0.0', 'box:2', 'http://box:1/p/eu/endpoints/x/predict'],
  ])('%s of a server on %s is for callers of %s %s', (announced, bound, host, reachable) => {
    expect(reachableUrl(announced, bound, host)).toBe(reachable);
  });

  test.each([
    ['a server on one address', 'http://127.0.0.1:8080', '127.0.0.1', 'localhost:8082'],
    ['a gateway that announces a name of its own', 'http://gateway.internal:8080', '0.0.0.0', '10.0.0.7:8082'],
    ['a caller without a Host header', 'http://127.0.0.1:8080', '0.0.0.0', undefined],
    ['a Host header that is no name', 'http://127.0.0.1:8080', '0.0.0.0', 'a/b@c'],
  ])('stays for %s', (_title, announced, bound, host) => {
    expect(reachableUrl(announced, bound, host)).toBe(announced);
  });
});
