#!/bin/sh
# Publishes page.html, with its title filled in, to the directory that stands in for a web server.
set -eu

target="$FLEET_DIR/status/index.html"

render() {
  sed "s/@TITLE@/$TITLE/g" page.html
}

# A secret of the document, if there is one. What is printed of it is masked before anything is stored.
sign_in() {
  if [ -n "${PUBLISH_TOKEN:-}" ]; then
    echo "signing in with $PUBLISH_TOKEN"
  fi
}

case "$1" in
  check)
    sign_in
    if [ ! -e "$target" ]; then
      echo "there is no page yet"
      exit 2
    fi
    if ! render | diff -u "$target" -; then
      exit 2
    fi
    ;;
  publish)
    sign_in
    mkdir -p "$FLEET_DIR/status"
    render > "$target.new"
    mv "$target.new" "$target"
    echo "published to $target"
    ;;
  outputs)
    printf '{"page": "%s"}\n' "$target"
    ;;
esac
