echo "$GREETING, $WHOM."
