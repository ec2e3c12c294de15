// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice Keeps one hundredth of every transfer.
contract FeeToken is ERC20 {
    constructor(uint256 supply) ERC20("Fee", "FEE") {
        _mint(msg.sender, supply);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(to, address(0), value / 100);
    }
}

/// @notice Answers false where it should revert.
contract FalseToken is ERC20 {
    bool public broken;

    constructor(uint256 supply) ERC20("False", "FLS") {
        _mint(msg.sender, supply);
    }

    function breakNow() external {
        broken = true;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return !broken && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return !broken && super.transferFrom(from, to, value);
    }
}

/// @notice Calls back, during each transfer, with bytes set beforehand; remembers whether the call went through.
contract CallbackToken is ERC20 {
    address public target;
    bytes public data;
    bool public called;
    bool public succeeded;
    bytes public answer;

    constructor(uint256 supply) ERC20("Callback", "CBK") {
        _mint(msg.sender, supply);
    }

    function arm(address target_, bytes calldata data_) external {
        target = target_;
        data = data_;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (target != address(0)) {
            address armed = target;
            target = address(0);
            called = true;
            (succeeded, answer) = armed.call(data);
        }
        super._update(from, to, value);
    }
}
