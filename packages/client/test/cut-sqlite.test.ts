import { sqlitePlace } from "./cut/place.ts";
import { cutSuite } from "./cut/suite.ts";

cutSuite("SQLite", sqlitePlace);
