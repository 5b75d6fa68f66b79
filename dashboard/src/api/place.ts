// Where the dashboard and the API are: below wherever a proxy has put them. The server says it in `<base>`.

/** The path of the dashboard, such as `/ui/` or `/a/b/ui/`. */
export function uiPath(base: string = document.baseURI): string {
  return new URL(".", base).pathname;
}

/** The address of the server, with a slash at its end. */
export function serverUrl(base: string = document.baseURI): string {
  return new URL("..", new URL(".", base)).href;
}
