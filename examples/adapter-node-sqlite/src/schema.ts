/** The tables of the first version. Triggers keep the counts, so that nobody has to scan the records for them. */
export const SCHEMA = `
  create table store (id text not null) strict;
  create table device (
    id integer primary key autoincrement, user_id text not null, device_id text not null,
    epoch integer not null default 0, revision integer not null default 0,
    holder text, driver text, lease_until integer not null default 0, move text,
    unique (user_id, device_id)
  ) strict;
  create table record (
    device integer not null, collection text not null, key blob not null, value blob not null,
    primary key (device, collection, key)
  ) strict;
  create table counter (
    device integer not null, collection text not null, records integer not null, bytes integer not null,
    primary key (device, collection)
  ) strict, without rowid;
  create trigger record_in after insert on record begin
    insert into counter values (new.device, new.collection, 1, length(new.key) + length(new.value))
    on conflict do update set records = records + 1, bytes = bytes + excluded.bytes;
  end;
  create trigger record_changed after update on record begin
    update counter set bytes = bytes + length(new.value) - length(old.value)
    where device = new.device and collection = new.collection;
  end;
  create trigger record_out after delete on record begin
    update counter set records = records - 1, bytes = bytes - length(old.key) - length(old.value)
    where device = old.device and collection = old.collection;
    delete from counter where device = old.device and collection = old.collection and records = 0;
  end;
  pragma user_version = 1`;
