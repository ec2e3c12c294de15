// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title The token of the demonstration
/// @notice Worth nothing: minted once, to whoever deploys it, on a chain that lives as long as the demonstration.
contract DemoToken is ERC20 {
    constructor(uint256 supply) ERC20("Veilsum Demo", "VSD") {
        _mint(msg.sender, supply);
    }
}
