# Keeps a file for each record in the directory $RECORDS: the name of the file is the record's, its content the address.
# Real records would need the API of a DNS server in place of cat, printf and rm; everything else would stay.
set -eu
mkdir -p "$RECORDS"

quoted() { [ -z "$1" ] && printf null || printf '{"address": "%s"}' "$1"; }

change() { # name action before after
    [ -z "$separator" ] || printf ','
    separator=,
    printf '\n{"address": "record.%s", "type": "record", "action": "%s", "before": %s, "after": %s}' \
        "$1" "$2" "$(quoted "$3")" "$(quoted "$4")"
}

plan() {
    separator=
    printf '{"changes": ['
    while read -r name address; do
        now=$(cat "$RECORDS/$name" 2>/dev/null || true)
        if [ -z "$now" ]; then change "$name" create "" "$address"
        elif [ "$now" != "$address" ]; then change "$name" update "$now" "$address"
        fi
    done < records.txt
    for file in "$RECORDS"/*; do
        name=${file##*/}
        [ ! -e "$file" ] || grep -q "^$name " records.txt || change "$name" delete "$(cat "$file")" ""
    done
    printf '\n]}\n'
    [ -z "$separator" ] || exit 2
}

apply() {
    for file in "$RECORDS"/*; do
        name=${file##*/}
        [ ! -e "$file" ] || grep -q "^$name " records.txt || rm "$file"
    done
    while read -r name address; do printf '%s' "$address" > "$RECORDS/$name"; done < records.txt
}

case "$1" in
    plan) plan ;;
    apply) apply ;;
    outputs) printf '{"directory": "%s"}\n' "$RECORDS" ;;
esac
