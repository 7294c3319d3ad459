// As much of the libraries' types as the pages use; tsc reads this in place of the minified files.
export interface Signal<T> { value: T; }
export function signal(value: null): Signal<any>;
export function signal<T>(value: T): Signal<T>;
export function computed<T>(from: () => T): Signal<T>;
export function effect(run: () => void): () => void;
export function useSignal<T>(value: T): Signal<T>;
export function useEffect(run: () => void | (() => void), on?: unknown[]): void;
export function useLayoutEffect(run: () => void | (() => void), on?: unknown[]): void;
export function useMemo<T>(make: () => T, on: unknown[]): T;
export function useRef(value: null): { current: any };
export function useRef<T>(value: T): { current: T };
export function render(tree: unknown, into: Element): void;
export function html(strings: TemplateStringsArray, ...values: unknown[]): unknown;
