import { describe, expect, it } from 'vitest';
import { allowedHostsOf, isAllowedHost, isAllowedOrigin } from './origin.ts';

const local = allowedHostsOf({ host: '127.0.0.1', allowedHosts: ['Api.Example.com'] });
const everywhere = allowedHostsOf({ host: '0.0.0.0', allowedHosts: [] });

describe('Host', () => {
  it.each([
    ['localhost', true],
    ['LOCALHOST:8080', true],
    ['127.0.0.1:8080', true],
    ['127.1.2.3', true],
    ['[::1]:8080', true],
    ['churn.localhost', true],
    ['api.example.com', true],
    ['api.example.com.:443', true],
    ['evil.example', false],
    ['localhost.evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['evil.example#localhost', false],
    ['user@localhost', false],
    ['10.0.0.5', false],
    ['', false],
    [undefined, false],
  ])('%s is allowed on a loopback listener: %s', (header, expected) => {
    expect(isAllowedHost(header, local)).toBe(expected);
  });

  it('a listener on every address may be called by any address, but not by any name', () => {
    expect(isAllowedHost('10.0.0.5:8080', everywhere)).toBe(true);
    expect(isAllowedHost('[fe80::1]:8080', everywhere)).toBe(true);
    expect(isAllowedHost('evil.example', everywhere)).toBe(false);
  });
});

describe('Origin', () => {
  it.each([
    [undefined, true],
    ['http://localhost:3000', true],
    ['https://api.example.com', true],
    ['http://[::1]:8082', true],
    ['null', false],
    ['http://evil.example', false],
    ['http://localhost.evil.example', false],
    ['chrome-extension://abcdef', false],
    ['file://', false],
    ['not an origin', false],
  ])('%s is allowed: %s', (origin, expected) => {
    expect(isAllowedOrigin(origin, local)).toBe(expected);
  });
});
